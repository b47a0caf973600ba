//! Blocks are asked for again of a member's node that has refused, or was late.
//!
//! In sc-network-sync 0.59.0 a node that did not answer is noted as busy, and is to be disconnected, which ends that. Members are
//! reserved peers, and sc-network 0.60.0 disconnects none of those: such a node would be asked for nothing any more while the
//! connection lasts. Nodes refuse while they are busy for seconds, as all are that compile a new runtime at the same time; the
//! blocks of the one that was asked then would reach nobody.

use consilium_runtime::opaque::Block;
use futures::channel::oneshot::Canceled;
use sc_network::{
    request_responses::{OutboundFailure, RequestFailure},
    ProtocolName,
};
use sc_network_common::sync::message::{BlockData, BlockRequest};
use sc_network_sync::block_relay_protocol::{BlockDownloader, BlockResponseError};
use sc_network_types::PeerId;
use std::{sync::Arc, time::Duration};

/// Between two requests for the same.
const PAUSE: Duration = Duration::from_secs(2);

/// After so many vain requests people are told, and again after as many.
const WORTH_SAYING: u32 = 5;

/// Asks as another one does, and again where the answer may come later. The sync drops a request with its peer's connection, and
/// with it this asking.
#[derive(Debug)]
pub struct Patient {
    inner: Arc<dyn BlockDownloader<Block>>,
    pause: Duration,
    lost: fn() -> bool,
}

impl Patient {
    /// Asks as `inner` does. `lost`: see [`crate::Faults`].
    pub fn new(inner: Arc<dyn BlockDownloader<Block>>, lost: fn() -> bool) -> Self {
        Self { inner, pause: PAUSE, lost }
    }
}

/// Whether the same node may answer later, over the same connection.
fn passes(failure: &RequestFailure) -> bool {
    use OutboundFailure::{Io, Timeout};
    matches!(failure, RequestFailure::Refused | RequestFailure::Network(Timeout | Io(_)))
}

#[async_trait::async_trait]
impl BlockDownloader<Block> for Patient {
    fn protocol_name(&self) -> &ProtocolName {
        self.inner.protocol_name()
    }

    async fn download_blocks(
        &self,
        who: PeerId,
        request: BlockRequest<Block>,
    ) -> Result<Result<(Vec<u8>, ProtocolName), RequestFailure>, Canceled> {
        if (self.lost)() {
            return std::future::pending().await;
        }
        for asked in 1u32.. {
            match self.inner.download_blocks(who, request.clone()).await {
                Ok(Err(failure)) if passes(&failure) => {
                    if asked % WORTH_SAYING == 0 {
                        log::warn!(target: "sync", "{who} has not given blocks for {asked} times, and is asked again: {failure}");
                    }
                    tokio::time::sleep(self.pause).await;
                }
                answer => return answer,
            }
        }
        Err(Canceled)
    }

    fn block_response_into_blocks(
        &self,
        request: &BlockRequest<Block>,
        response: Vec<u8>,
    ) -> Result<Vec<BlockData<Block>>, BlockResponseError> {
        self.inner.block_response_into_blocks(request, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use sc_network_common::sync::message::{BlockAttributes, Direction, FromBlock};

    /// Fails in these ways, from the last to the first, then answers.
    #[derive(Debug)]
    struct Late(ProtocolName, Mutex<Vec<RequestFailure>>);

    #[async_trait::async_trait]
    impl BlockDownloader<Block> for Late {
        fn protocol_name(&self) -> &ProtocolName {
            &self.0
        }

        async fn download_blocks(
            &self,
            _: PeerId,
            _: BlockRequest<Block>,
        ) -> Result<Result<(Vec<u8>, ProtocolName), RequestFailure>, Canceled> {
            Ok(self.1.lock().pop().map_or_else(|| Ok((vec![7], self.0.clone())), Err))
        }

        fn block_response_into_blocks(
            &self,
            _: &BlockRequest<Block>,
            _: Vec<u8>,
        ) -> Result<Vec<BlockData<Block>>, BlockResponseError> {
            Ok(Vec::new())
        }
    }

    /// What comes of it, and how many failures were left.
    async fn ask(failures: Vec<RequestFailure>) -> (Result<Vec<u8>, RequestFailure>, usize) {
        let inner = Arc::new(Late("/test/1".into(), Mutex::new(failures)));
        let patient = Patient { inner: inner.clone(), pause: Duration::from_millis(1), lost: || false };
        let request = BlockRequest::<Block> {
            id: 0,
            fields: BlockAttributes::HEADER,
            from: FromBlock::Number(1),
            direction: Direction::Ascending,
            max: None,
        };
        let answer = patient.download_blocks(PeerId::random(), request).await.expect("nothing is cancelled");
        let left = inner.1.lock().len();
        (answer.map(|(bytes, _)| bytes), left)
    }

    #[tokio::test]
    async fn who_refuses_or_is_late_is_asked_again_and_who_is_gone_is_not() {
        let late = || RequestFailure::Network(OutboundFailure::Timeout);
        let (answer, left) = ask(vec![late(), RequestFailure::Refused, late()]).await;
        assert!(answer.is_ok_and(|bytes| bytes == [7]) && left == 0);
        let closed = || RequestFailure::Network(OutboundFailure::ConnectionClosed);
        for gone in [closed(), RequestFailure::NotConnected, RequestFailure::UnknownProtocol] {
            let (answer, left) = ask(vec![RequestFailure::Refused, gone, late()]).await;
            assert!(answer.is_err() && left == 1);
        }
    }
}
