"""Usage: reference.py FOLDER [PREDICTIONS.csv]
What programs that are not ours make of the tables of prepare.sh (Python packages lifelines, scikit-survival and scikit-learn):
Cox's model and the study's own model, one logistic regression of each interval's hazard, each of the rows of all sites in one place
and of each site's alone, measured on the held-out patients. With PREDICTIONS.csv, of `ml-worker predict` on held-out.csv, the same
figures of those.
"""
import csv, glob, sys
import numpy as np
from lifelines import CoxPHFitter, KaplanMeierFitter
import pandas
from sklearn.linear_model import LogisticRegression
from sksurv.metrics import brier_score, concordance_index_censored
from sksurv.util import Surv

CUTS, L2 = [90.0, 180.0, 365.0, 730.0], 0.01        # of study.toml
NUMBERS = ["age", "ph.ecog", "ph.karno", "pat.karno", "wt.loss"]
folder, predictions = sys.argv[1], sys.argv[2:]
read = lambda name: pandas.read_csv(name)
sites = [read(name) for name in sorted(glob.glob(f"{folder}/site-*.csv"))]
held_out = read(f"{folder}/held-out.csv")

def inputs(table, by):
    """Numbers in units of a deviation, a missing one as the mean, and sex as two columns."""
    numbers = ((table[NUMBERS] - by[NUMBERS].mean()) / by[NUMBERS].std(ddof=0)).fillna(0.0)
    return np.column_stack([numbers, table.sex == 1, table.sex == 2]).astype(float)

def hazards(training, by):
    """Probabilities of the event by each cut, of the held-out patients."""
    x, times, events = inputs(training, by), training.time.to_numpy(float), training.status.to_numpy() == 1
    alive, risks = np.ones(len(held_out)), []
    for begin, end in zip([-1.0, *CUTS], CUTS):
        had = events & (times > begin) & (times <= end)
        seen = had | (times > end) | ~events & (times == end)
        if 0 < had[seen].sum() < seen.sum():
            model = LogisticRegression(C=1 / (2 * L2 * len(training)), solver="newton-cholesky", tol=1e-10, max_iter=1000)
            hazard = model.fit(x[seen], had[seen]).predict_proba(inputs(held_out, by))[:, 1]
        else:
            hazard = np.full(len(held_out), had[seen].mean() if seen.any() else 0.0)
        alive = alive * (1 - hazard)
        risks.append(1 - alive)
    return np.stack(risks, axis=1)

def cox(training, by):
    """Cox's linear predictor of the held-out patients."""
    names = [f"x{n}" for n in range(len(NUMBERS) + 1)]          # of sex one column says it all
    frame = lambda table: pandas.DataFrame(inputs(table, by)[:, :-1], columns=names)
    rows = frame(training).assign(time=training.time.to_numpy(float), status=training.status.to_numpy())
    model = CoxPHFitter(penalizer=0.01).fit(rows, "time", "status")
    return model.predict_log_partial_hazard(frame(held_out)).to_numpy()

times, events = held_out.time.to_numpy(float), held_out.status.to_numpy() == 1
found = Surv.from_arrays(events, times)
concordance = lambda risk: concordance_index_censored(events, times, risk)[0]
def scores(risks):
    return [brier_score(found, found, (1 - risks[:, [n]]), [cut])[1][0] for n, cut in enumerate(CUTS)]

def show(name, risks):
    print(f"{name:<34} C {concordance(risks[:, -1]):.3f}   Brier score at " + ", ".join(
        f"{cut:.0f}: {score:.3f}" for cut, score in zip(CUTS, scores(risks))))

everyone = pandas.concat(sites)
curve = KaplanMeierFitter().fit(times, events)
alike = np.tile([1 - float(curve.predict(cut)) for cut in CUTS], (len(times), 1))
print(f"{len(everyone)} patients to learn from at {len(sites)} sites, {len(times)} held out, of whom {events.sum()} died")
show("one risk for all held-out patients", alike)
show("hazards, all rows in one place", hazards(everyone, everyone))
alone = [hazards(site, site) for site in sites]
each = [concordance(risks[:, -1]) for risks in alone]
print(f"{'hazards, each site alone':<34} C {np.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})   Brier score at " + ", ".join(
    f"{cut:.0f}: {score:.3f}" for cut, score in zip(CUTS, np.mean([scores(risks) for risks in alone], axis=0))))
print(f"{'Cox, all rows in one place':<34} C {concordance(cox(everyone, everyone)):.3f}")
each = [concordance(cox(site, site)) for site in sites]
print(f"{'Cox, each site alone':<34} C {np.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})")
for file in predictions:
    lines = list(csv.reader(open(file, newline="")))
    columns = [n for n, name in enumerate(lines[0]) if name.startswith("p(")]
    show(file, np.array([[float(line[n]) for n in columns] for line in lines[1:]]))
