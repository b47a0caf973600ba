"""Writes filtered.parquet and truths.parquet, as pandas 3 and pyarrow write such frames: python others.py, in this folder."""
import pandas as pd

# a filtered frame brings its row numbers along, as the column __index_level_0__
n = range(60)
frame = pd.DataFrame({"age": [25 + 7 * i % 61 for i in n], "crp": [0.5 + i % 9 for i in n], "ill": ["no"] * 30 + ["yes"] * 30})
frame[frame["age"] > 40].to_parquet("filtered.parquet")

# truth values as a label, a feature and a column of names
rows = [(True, 1.0, False), (False, 2.0, True), (True, 3.0, None), (False, 4.0, True)]
frame = pd.DataFrame(rows, columns=["ill", "a", "smokes"])
frame["diabetes"] = [False, True, True, False]
frame["smokes"] = frame["smokes"].astype("boolean")
frame.to_parquet("truths.parquet", index=False)
