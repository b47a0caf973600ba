//! A request, answered: where each duty stands, after a moment's wait for what ends in that moment.

use super::{key, Worker};
use codec::{DecodeAll, Encode};
use consilium_primitives::{
    duty::{MAX_ORDERS, OLDER_PROTOCOL, PROTOCOL_VERSION},
    DutyAnswer, DutyReply, DutyRequest, DutyState, Hash,
};
use consilium_study::StudySpec;
use std::time::{Duration, Instant};

/// How long an answer waits for work that may be done in a moment: a merge of a small model would otherwise be told only
/// when the node asks next, which it does when it hears that something was finished. The node gives a whole call 400 ms.
const MOMENT: Duration = Duration::from_millis(30);

impl Worker {
    /// Answers a request: where each duty stands.
    ///
    /// # Errors
    /// A text that says what is wrong with the request.
    pub fn answer(&self, request: &DutyRequest) -> Result<DutyReply, String> {
        if !(OLDER_PROTOCOL..=PROTOCOL_VERSION).contains(&request.version) {
            return Err(format!(
                "version {} of the messages is unknown; this worker speaks {PROTOCOL_VERSION}, and {OLDER_PROTOCOL} and later",
                request.version
            ));
        }
        if request.orders.len() > MAX_ORDERS {
            return Err(format!("{} duties at once; at most {MAX_ORDERS}", request.orders.len()));
        }
        if request.ahead.len() > request.orders.len() {
            return Err(format!("{} duties, and what follows {}", request.orders.len(), request.ahead.len()));
        }
        for bytes in &request.specs {
            if let Err(error) = StudySpec::from_canonical(bytes) {
                tracing::error!("a spec was refused: {error}");
                continue;
            }
            if let Err(error) = self.home.put_spec(bytes) {
                tracing::error!("{error:#}");
            }
        }
        if request.masked.len() > request.orders.len() {
            return Err(format!("{} duties, and what {} need", request.orders.len(), request.masked.len()));
        }
        self.note_masked(request);
        self.leave.lock().look();
        self.let_go();
        let keys = self.keys(request);
        self.jobs.lock().iter_mut().for_each(|(key, job)| job.asked.note(keys.contains(key)));
        let until = Instant::now() + MOMENT;
        let mut states = self.states(request);
        while self.wait(&self.keys(request), until) {
            states = self.states(request);
        }
        let posts = self.posts(request, &states);
        let duties = request.orders.iter().map(|order| order.duty.hash());
        let answers = duties.zip(states).map(|(duty, state)| DutyAnswer { duty, state }).collect();
        Ok(DutyReply { version: request.version, answers, posts })
    }

    fn states(&self, request: &DutyRequest) -> Vec<DutyState> {
        let follows = request.ahead.iter().copied().chain(std::iter::repeat(None));
        let states = request.orders.iter().zip(follows).map(|(order, follows)| match (self.state_of(order), follows) {
            (DutyState::Done(output), Some(follows)) => self.with_next(order, follows, output),
            (state, _) => state,
        });
        states.collect()
    }

    /// Keys of the duties of a request, of those that follow its merges, and of updates that are made again for these.
    fn keys(&self, request: &DutyRequest) -> Vec<Hash> {
        let orders = request.orders.iter().map(key);
        let lost = request.orders.iter().filter_map(|order| self.lost_update(order)).map(|order| key(&order));
        orders.flat_map(|key| std::iter::once(key).chain(self.following.of(&key))).chain(lost).collect()
    }

    /// Waits until one of these duties ends; false: none is worked on, or the time is over.
    fn wait(&self, duties: &[Hash], until: Instant) -> bool {
        let mut jobs = self.jobs.lock();
        let working = |jobs: &super::Jobs| duties.iter().filter(|d| jobs.get(d).is_some_and(|job| job.working)).count();
        let before = working(&jobs);
        if before == 0 || Instant::now() >= until {
            return false;
        }
        while working(&jobs) == before {
            if self.finished.wait_until(&mut jobs, until).timed_out() {
                break;
            }
        }
        true
    }

    /// The reply in bytes.
    pub(super) fn reply(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let request =
            DutyRequest::decode_all(&mut &body[..]).map_err(|error| format!("not a request for duties: {error}"))?;
        Ok(self.answer(&request)?.encode())
    }
}
