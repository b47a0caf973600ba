//! Figures that a report takes in: a site's file, signed or the own one, or what `ml-worker compare` says of all sites on one machine.

use super::document::{HeldOut, HeldOutModel, Source, Told};
use crate::{chain::StudyInfo, plain::seen};
use anyhow::{bail, ensure, Context, Result};
use consilium_primitives::{round::Phase, Hash, StudyId};
use consilium_study::{CutFigures, FiguresFile, Fit, Signed, SiteFigures};
use serde_json::Value;
use std::{fs, path::Path};
use subxt_signer::sr25519::{verify, Keypair, PublicKey, Signature};

/// Most bytes of a file of figures: those of a thousand rounds are a fraction of it.
const LARGEST: u64 = 4 << 20;

/// What figures must be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Of {
    /// Hash of the chain's block 0.
    pub genesis: String,
    /// Number of the study.
    pub study: StudyId,
    /// The agreement.
    pub agreement: String,
    /// BLAKE2b-256 of the specification.
    pub spec: String,
    /// BLAKE3 of the certified model.
    pub model: String,
}

impl Of {
    /// Of a study's certified model.
    ///
    /// # Errors
    /// It has none.
    pub fn study(genesis: Hash, number: StudyId, info: &StudyInfo) -> Result<Self> {
        let Phase::Completed(certificate) = &info.state.phase else {
            bail!("study {number} has no model (yet), of which a site could have figures: leave --figures out");
        };
        Ok(Self {
            genesis: hex::encode(genesis),
            study: number,
            agreement: hex::encode(info.agreement),
            spec: hex::encode(info.spec_hash),
            model: hex::encode(certificate.root),
        })
    }

    /// Looks whether a file is of this study's model, and whether it was signed; gives the account that signed it, none of a file
    /// that nobody signed.
    ///
    /// # Errors
    /// It is of another model, specification, study or chain; its signature is not by the account that it names.
    pub fn check(&self, file: &FiguresFile) -> Result<Option<[u8; 32]>> {
        let same = |what: &str, is: &str, wanted: &str| -> Result<()> {
            ensure!(is == wanted, "these figures are of another {what}: {}, and this study's is {wanted}", seen(is));
            Ok(())
        };
        // of another study's file, its number tells people more than its model's hash
        if let Some(signed) = &file.signed {
            same("chain", &signed.genesis, &self.genesis)?;
            ensure!(
                signed.study == self.study,
                "these figures are of another study: of study {}, and this is study {}",
                signed.study,
                self.study
            );
        }
        same("model", &file.model, &self.model)?;
        same("specification", &file.spec, &self.spec)?;
        let Some(signed) = &file.signed else { return Ok(None) };
        same("agreement", &signed.agreement, &self.agreement)?;
        let (mut signer, mut signature) = ([0; 32], [0; 64]);
        let read = hex::decode_to_slice(&signed.signer, &mut signer)
            .and_then(|()| hex::decode_to_slice(&signed.signature, &mut signature));
        ensure!(
            read.is_ok() && verify(&Signature(signature), file.message(), &PublicKey(signer)),
            "the signature is wrong: the account that it names did not sign these figures; somebody has changed them, or the name. Ask the \
             site for its file again"
        );
        Ok(Some(signer))
    }

    /// Signs a file for an institution.
    pub fn signed(&self, file: FiguresFile, key: &Keypair) -> FiguresFile {
        let signed = Signed {
            genesis: self.genesis.clone(),
            study: self.study,
            agreement: self.agreement.clone(),
            signer: hex::encode(key.public_key().0),
            signature: String::new(),
        };
        let mut file = FiguresFile { signed: Some(signed), ..file };
        let signature = hex::encode(key.sign(&file.message()).0);
        if let Some(signed) = &mut file.signed {
            signed.signature = signature;
        }
        file
    }
}

/// Reads a file of figures.
///
/// # Errors
/// It cannot be read, is none, or holds numbers that cannot be.
pub fn read(path: &Path) -> Result<FiguresFile> {
    let shown = path.display();
    let found = fs::metadata(path).with_context(|| format!("--figures {shown}: cannot be read"))?;
    ensure!(
        found.len() <= LARGEST,
        "--figures {shown}: has {} bytes; such a file has less than {LARGEST}",
        found.len()
    );
    let bytes = fs::read(path).with_context(|| format!("--figures {shown}: cannot be read"))?;
    FiguresFile::read(&bytes).with_context(|| format!("--figures {shown}"))
}

/// Adds a site's figures to those that there are.
///
/// # Errors
/// There are figures of that site already.
pub fn add(all: &mut Vec<Told>, site: String, source: Source, figures: SiteFigures) -> Result<()> {
    ensure!(
        !all.iter().any(|told| told.site == site),
        "there are two files of figures of {site}: give the one that it stands by"
    );
    all.push(Told { verdict: figures.verdict(), site, source, figures });
    Ok(())
}

/// What `ml-worker compare` says of every site.
///
/// # Errors
/// It is not what that program prints.
pub fn compared(comparison: &Value) -> Result<(Vec<Told>, Option<HeldOut>)> {
    let list: Vec<(String, SiteFigures)> =
        serde_json::from_value(comparison["figures"].clone()).context("the worker's comparison has no figures")?;
    let mut all = Vec::new();
    for (site, figures) in list {
        add(&mut all, seen(&site), Source::OneMachine, figures)?;
    }
    Ok((all, held_out(comparison)))
}

fn held_out(comparison: &Value) -> Option<HeldOut> {
    let model = |name: String, arm: &Value| {
        let found = arm.get("held_out").filter(|found| found.is_object())?;
        let mean = |key: &str| found[key].as_f64().or_else(|| found[format!("{key}_macro")]["mean"].as_f64());
        let ends =
            found["auc_interval"].as_array().and_then(|ends| Some((ends.first()?.as_f64()?, ends.get(1)?.as_f64()?)));
        let at = &found["at_cut"];
        let figures = at.is_object().then(|| CutFigures {
            sensitivity: at["sensitivity"].as_f64(),
            specificity: at["specificity"].as_f64(),
            ppv: at["ppv"].as_f64(),
            npv: at["npv"].as_f64(),
        });
        Some(HeldOutModel {
            name,
            log_loss: found["log_loss"].as_f64(),
            auc: mean("auc"),
            auc_interval: ends,
            cut: at["cut"].as_f64(),
            at_cut: figures,
            fit: found["r2"].as_f64().map(Fit::R2).or_else(|| found["concordance"].as_f64().map(Fit::Concordance)),
        })
    };
    let locals = comparison["local"].as_array().into_iter().flatten();
    let mut models: Vec<HeldOutModel> =
        locals.filter_map(|arm| model(format!("only {}", seen(arm["name"].as_str()?)), arm)).collect();
    models.extend(["swarm", "central"].into_iter().filter_map(|name| model(name.into(), &comparison[name])));
    let swarm = &comparison["swarm"]["held_out"];
    let rows = swarm["rows"].as_u64()?;
    (rows > 0).then(|| HeldOut { rows, positives: swarm["positives"].as_u64(), models })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::tests::figures, *};
    use consilium_study::FIGURES_VERSION;
    use serde_json::json;
    use subxt_signer::sr25519::dev;

    fn of() -> Of {
        Of { genesis: "11".into(), study: 4, agreement: "22".into(), spec: "33".into(), model: "44".into() }
    }

    fn file() -> FiguresFile {
        let (spec, model) = ("33".into(), "44".into());
        FiguresFile { consilium_figures: FIGURES_VERSION, spec, model, figures: figures(), signed: None }
    }

    #[test]
    fn signed_figures_are_taken_in_and_changed_ones_are_not() {
        assert_eq!(of().check(&file()).unwrap(), None, "nobody signed it");
        let signed = of().signed(file(), &dev::alice());
        assert_eq!(of().check(&signed).unwrap(), Some(dev::alice().public_key().0));
        // as it is after it was written and read
        let read = FiguresFile::read(&serde_json::to_vec_pretty(&signed).unwrap()).unwrap();
        assert_eq!(of().check(&read).unwrap(), Some(dev::alice().public_key().0));
        type Change = fn(&mut FiguresFile);
        let changes: [(Change, &str); 8] = [
            (|f| f.figures.swarm.metric = Some(0.01), "signature is wrong"),
            (|f| f.figures.difference = None, "signature is wrong"),
            (|f| f.signed.as_mut().unwrap().signer = hex::encode(dev::bob().public_key().0), "signature is wrong"),
            (|f| f.signed.as_mut().unwrap().signature = "00".repeat(64), "signature is wrong"),
            (|f| f.signed.as_mut().unwrap().signature = "no".into(), "signature is wrong"),
            (|f| f.signed.as_mut().unwrap().study = 5, "another study"),
            (|f| f.signed.as_mut().unwrap().genesis = "12".into(), "another chain"),
            (|f| f.signed.as_mut().unwrap().agreement = "23".into(), "another agreement"),
        ];
        for (at, (change, wanted)) in changes.into_iter().enumerate() {
            let mut other = signed.clone();
            change(&mut other);
            let said = of().check(&other).unwrap_err().to_string();
            assert!(said.contains(wanted), "change {at}: {said}");
        }
        // a whole file of another study is told by that study's number
        let mut elsewhere = FiguresFile { model: "45".into(), ..signed };
        elsewhere.signed.as_mut().unwrap().study = 0;
        let said = of().check(&elsewhere).unwrap_err().to_string();
        assert!(said.contains("another study: of study 0, and this is study"), "{said}");
        for (other, wanted) in [
            (FiguresFile { model: "45".into(), ..file() }, "another model"),
            (FiguresFile { spec: "<b>".into(), ..file() }, "another specification"),
        ] {
            let said = of().check(&other).unwrap_err().to_string();
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_named_and_a_site_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figures.json");
        assert!(read(&path).unwrap_err().to_string().contains("figures.json: cannot be read"));
        fs::write(&path, "{}").unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("own-arm"));
        fs::write(&path, serde_json::to_vec(&file()).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), file());
        let mut all = Vec::new();
        add(&mut all, "Alder".into(), Source::Own, figures()).unwrap();
        let said = add(&mut all, "Alder".into(), Source::Signed, figures()).unwrap_err().to_string();
        assert!(said.contains("two files of figures of Alder"), "{said}");
    }

    #[test]
    fn a_comparison_on_one_machine_has_every_site_and_common_rows() {
        let comparison = json!({
            "figures": [["a\u{1b}", figures()]],
            "local": [{ "name": "a", "held_out": { "log_loss": 0.3, "auc": 0.9, "auc_interval": [0.8, 0.95] } }],
            "swarm": { "held_out": { "rows": 114, "positives": 42, "log_loss": 0.1, "auc": 0.99, "auc_interval": null,
                "at_cut": { "cut": 0.3, "sensitivity": 0.9, "specificity": 0.8, "ppv": null, "npv": 1.0, "mcc": 0.7 } } },
            "central": { "held_out": { "auc_macro": { "mean": 0.5 } } },
        });
        let (all, held) = compared(&comparison).unwrap();
        assert_eq!((all[0].site.as_str(), all[0].source), ("a\\u{1b}", Source::OneMachine));
        let held = held.unwrap();
        assert_eq!((held.rows, held.positives, held.models.len()), (114, Some(42), 3));
        assert_eq!((held.models[0].name.as_str(), held.models[0].auc_interval), ("only a", Some((0.8, 0.95))));
        assert_eq!(held.models[2].auc, Some(0.5));
        let at = CutFigures { sensitivity: Some(0.9), specificity: Some(0.8), ppv: None, npv: Some(1.0) };
        assert_eq!((held.models[1].cut, held.models[1].at_cut), (Some(0.3), Some(at)));
        assert_eq!((held.models[2].cut, held.models[2].at_cut), (None, None));
        let none = json!({ "figures": [], "local": [], "swarm": { "held_out": null }, "central": {} });
        assert_eq!(compared(&none).unwrap(), (Vec::new(), None));
        assert!(compared(&json!({})).is_err());
    }
}
