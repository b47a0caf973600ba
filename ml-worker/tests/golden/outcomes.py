"""Makes outcomes.json: figures of predicted numbers with scikit-learn; of times until an event with scikit-survival and lifelines
(Harrell's C with both, the weighted Brier score with the former, Kaplan and Meier's estimate with the latter), their log-loss with
scikit-learn over one line per patient and interval; and where the training of hazards must end, as scikit-learn's logistic regression of each
interval. Run as `python outcomes.py` where these are installed."""
import json, pathlib, platform
import lifelines, numpy as np, sklearn, sksurv
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, root_mean_squared_error
from sksurv.metrics import brier_score, concordance_index_censored
from sksurv.util import Surv

rng = np.random.default_rng(17)

def number(v):
    return None if v is None or not np.isfinite(v) else float(v)

def regression(name, predicted, found):
    p, y = (np.asarray(v, dtype=np.float32).astype(np.float64) for v in (predicted, found))
    slope = LinearRegression().fit(p[:, None], y).coef_[0] if len(set(p)) > 1 else None
    return dict(name=name, predicted=p.tolist(), found=y.tolist(), figures=dict(
        rows=len(y), mae=mean_absolute_error(y, p), rmse=root_mean_squared_error(y, p),
        r2=number(r2_score(y, p)) if len(set(y)) > 1 else None, bias=float((p - y).mean()), slope=number(slope)))

y = rng.normal(60, 20, 40)
cases = [regression("good", y + rng.normal(0, 5, 40), y), regression("worse than the mean", rng.normal(90, 30, 25), y[:25]),
         regression("far from 0", 1e5 + y + rng.normal(0, 5, 40), 1e5 + y), regression("one prediction", [3.0] * 5, y[:5]),
         regression("one outcome", [1.0, 2.0, 4.0], [2.5] * 3), regression("one row", [1.0], [2.0])]

def found(times, events, t):
    """What came true by a time: of rows of which none was followed so long, nothing is known."""
    curve = KaplanMeierFitter().fit(times, events)
    ended = curve.survival_function_.iloc[-1, 0] == 0
    return 1 - float(curve.predict(t)) if t <= times.max() or ended else None

def survival(name, logits, cuts, times, events):
    z = np.asarray(logits, dtype=np.float32).astype(np.float64)
    times, events = np.asarray(times, dtype=np.float32).astype(np.float64), np.asarray(events, dtype=bool)
    hazards = 1 / (1 + np.exp(-z))
    alive = np.cumprod(1 - hazards, axis=1)
    said, came = [], []                         # one line per patient and interval of which the whole, or an event, was seen
    for h, t, d in zip(hazards, times, events):
        begin = 0
        for k, end in enumerate(cuts):
            event = d and begin < t <= end or d and k == 0 and t <= end
            if t >= end and not (d and t <= end) or event:
                said.append(h[k]); came.append(int(event))
            if t <= end:
                break
            begin = end
    risk = 1 - alive[:, -1]
    assert len(set(np.round(risk, 7))) == len(set(risk)), "scikit-survival takes risks for equal that are 1e-8 apart"
    y = Surv.from_arrays(events, times)
    c = concordance_index_censored(events, times, risk)[0]
    assert abs(c - concordance_index(times, -risk, events)) < 1e-12
    horizons = []
    for k, t in enumerate(cuts):
        order = np.argsort(-alive[:, k], kind="stable")
        n = len(order)
        fifths = [order[i * n // 5:(i + 1) * n // 5] for i in range(5)] if n >= 50 else []
        scored = lambda s: float(brier_score(y, y, s[:, None], [t])[1][0]) if (times > t).any() else None
        horizons.append(dict(
            time=float(t), events=int((events & (times <= t)).sum()), beyond=int((times > t).sum()), brier=scored(alive[:, k]),
            brier_of_all_alike=scored(np.full(n, 1 - found(times, events, t))) if (times > t).any() else None,
            said=float((1 - alive[:, k]).mean()), found=found(times, events, t),
            calibration=[dict(rows=len(f), said=float((1 - alive[f, k]).mean()), found=found(times[f], events[f], t)) for f in fifths]))
    return dict(name=name, logits=z.tolist(), cuts=list(map(float, cuts)), times=times.tolist(), events=events.astype(int).tolist(),
                figures=dict(rows=len(times), events=int(events.sum()), concordance=c, horizons=horizons,
                             log_loss=log_loss(came, said, labels=[0, 1], normalize=False) / len(times)))

def drawn(n, cuts, whole, signal=1.0):
    """Times of which no two are the same, unless they are whole numbers."""
    x = rng.normal(0, 1, n)
    until = rng.exponential(400 * np.exp(-.8 * x))
    followed = rng.uniform(50, 1000, n)
    times = np.minimum(until, followed)
    times = np.ceil(times) if whole else times
    logits = -2 + signal * .9 * x[:, None] + rng.normal(0, .2, (n, len(cuts)))
    return logits, cuts, times, until <= followed

lives = [survival("times apart", *drawn(120, [90, 180, 365, 730], False)),
         survival("few", *drawn(12, [100, 300], False)),
         survival("worse than chance", *drawn(60, [100, 300], False, -1.0)),
         survival("nobody so long", *drawn(40, [200, 5000], False))]
# whole days: ties of time, of risk, and of an event with the end of being followed; scikit-survival's weights there are those
# just after the event, so that the Brier score is taken from the definition below
def tied(logits, cuts, times, events):
    case = survival("whole days", logits, cuts, times, events)
    t, d = np.asarray(case["times"]), np.asarray(case["events"], dtype=bool)
    alive = np.cumprod(1 - 1 / (1 + np.exp(-np.asarray(case["logits"]))), axis=1)
    def followed(at, before):
        value = 1.0
        for u in sorted(set(t[~d])):
            if u < at or (u == at and not before):
                value *= 1 - ((t == u) & ~d).sum() / ((t > u).sum() + ((t == u) & ~d).sum())
        return value
    for k, h in enumerate(case["figures"]["horizons"]):
        for key, s in (("brier", alive[:, k]), ("brier_of_all_alike", np.full(len(t), 1 - h["found"]))):
            h[key] = float(np.mean([(1 - s[i]) ** 2 / followed(h["time"], False) if t[i] > h["time"] else
                                    s[i] ** 2 / followed(t[i], True) if d[i] else 0 for i in range(len(t))]))
    return case
logits, cuts, times, events = drawn(80, [90, 180, 365], True)
times = np.ceil(times / 30) * 30
logits[1::4] = logits[::4]
lives.append(tied(logits, cuts, times, events))

def fitted(name, x, cuts, times, events):
    """A linear hazard of each interval, with the highest likelihood of what was seen: one logistic regression for each interval, of
    the patients of whom the whole interval, or an event in it, was seen."""
    x, t = (np.asarray(v, dtype=np.float32).astype(np.float64) for v in (x, times))
    events = np.asarray(events, dtype=bool)
    logits, loss = [], 0.0
    for begin, end in zip([0.0, *cuts], cuts):
        had = events & (t > begin) & (t <= end)
        seen = had | (t > end) | ~events & (t == end)
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x[seen], had[seen])
        logits.append(model.decision_function(x))
        loss += log_loss(had[seen], model.predict_proba(x[seen])[:, 1], normalize=False)
    return dict(name=name, x=x.tolist(), cuts=list(map(float, cuts)), times=t.tolist(), events=events.astype(int).tolist(),
                logits=np.stack(logits, axis=1).tolist(), log_loss=loss / len(t))

def patients(n, whole):
    x = rng.normal(0, 1, (n, 2))
    until, followed = rng.exponential(250 * np.exp(-.6 * x[:, 0] + .4 * x[:, 1])), rng.uniform(50, 900, n)
    times = np.minimum(until, followed)
    return x, [90, 180, 365], np.ceil(times / 30) * 30 if whole else times, until <= followed

ends = [fitted("times apart", *patients(200, False)), fitted("whole months", *patients(160, True))]
out = dict(made_with=dict(python=platform.python_version(), numpy=np.__version__, sklearn=sklearn.__version__,
                          sksurv=sksurv.__version__, lifelines=lifelines.__version__), regression=cases, survival=lives, hazards=ends)
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
