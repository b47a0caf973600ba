"""Usage: tables.py WHEEL FOLDER SEED
Patients of the North Central Cancer Treatment Group's trial in advanced lung cancer (Loprinzi et al., Journal of Clinical
Oncology 12, 1994), as the package lifelines has them. Writes
  patients.csv             every patient of a known institution, with a column that names the site
  site-a.csv ...           each site's patients without those held out
  held-out.csv             56 patients, of each site, with death or without it, their share
"""
import csv, hashlib, io, random, sys, zipfile

wheel, folder, seed = sys.argv[1:]
# eighteen institutions of 2 to 36 patients: too few in most to be a site by themselves
SITES = {"site-a": [1, 5, 15, 26], "site-b": [3, 6, 12], "site-c": [11, 13, 16, 33], "site-d": [2, 4, 7, 10, 21, 22, 32]}
HELD_OUT = 56
COLUMNS = ["age", "sex", "ph.ecog", "ph.karno", "pat.karno", "wt.loss", "time", "status"]

data = zipfile.ZipFile(wheel).read("lifelines/datasets/lung.csv")
found = hashlib.sha256(data).hexdigest()
if found != "16ebd02c38bbb5708186d600cff80ad84d0764974619436f83ba4a605e77eb44":
    sys.exit(f"{wheel}: its lung.csv is another one than this script was written for (SHA-256 {found})")
site_of = {institution: site for site, institutions in SITES.items() for institution in institutions}
patients = []
for number, row in enumerate(csv.DictReader(io.StringIO(data.decode())), 1):
    if row["inst"]:
        patients.append([f"p{number}", site_of[int(float(row["inst"]))]] + [row[column] for column in COLUMNS])
assert len(patients) == 227 and sum(row[-1] == "1" for row in patients) == 164

draw = random.Random(int(seed))
strata = {}
for row in patients:
    strata.setdefault((row[1], row[-1]), []).append(row)
# of each its share: rounded down, and the rest by the largest remainders
share = {key: HELD_OUT * len(rows) / len(patients) for key, rows in strata.items()}
count = {key: int(part) for key, part in share.items()}
for key in sorted(share, key=lambda key: count[key] - share[key])[:HELD_OUT - sum(count.values())]:
    count[key] += 1
out = {row[0] for key in sorted(strata) for row in draw.sample(strata[key], count[key])}

def write(name, rows, site=False):
    with open(f"{folder}/{name}.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["patient"] + ["site"] * site + COLUMNS)
        table.writerows([row[0]] + row[1:2] * site + row[2:] for row in rows)

write("patients", patients, site=True)
write("held-out", [row for row in patients if row[0] in out])
for site in SITES:
    mine = [row for row in patients if row[1] == site and row[0] not in out]
    write(site, mine)
    print(f"{site}: {len(mine)} patients, {sum(row[-1] == '1' for row in mine)} deaths")
print(f"held out: {len(out)} patients; written to {folder}")
