"""Makes spec.json: the canonical form of examples/breast-cancer/study.toml, by another language's JSON writer."""
import json, pathlib, tomllib

here = pathlib.Path(__file__).parent
t = tomllib.loads((here / "../../../examples/breast-cancer/study.toml").read_text())
t.pop("dataset"), t.pop("rules")
t["version"] = 1
t["model"]["dense"].setdefault("dropout", 0.0)
t["training"].setdefault("l2", 0.0)
o = t["training"]["optimizer"]["adam"]
o["beta1"], o["beta2"], o["epsilon"] = 0.9, 0.999, 1e-8
t["evaluation"].update(metric="log_loss", min_rows=20)
text = json.dumps(t, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
# Python writes the exponent with two digits, the canonical form with as many as it has
(here / "spec.json").write_text(text.replace("1e-08", "1e-8"))
