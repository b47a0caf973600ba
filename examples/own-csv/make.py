"""Makes north.csv, south.csv and east.tsv: three invented hospitals' exports, numbers drawn at random. No patient is in them."""
import random

random.seed(7)

def rows(n, share):
    for p in range(n):
        sick = random.random() < share
        for visit in range(random.choice((1, 1, 2))):
            age = round(random.gauss(66 if sick else 55, 11), 1)
            crp = round(max(0.1, random.gauss(48 if sick else 12, 14)), 1)
            spo2 = "" if random.random() < .05 else round(min(100, random.gauss(91 if sick else 97, 2)), 1)
            yield f"P{p:04}", age, crp, spo2, "yes" if sick else "no"

def german(v):
    return str(v).replace(".", ",")

# as a German spreadsheet exports it: byte order mark, semicolons, decimal commas
with open("north.csv", "w", encoding="utf-8-sig", newline="\r\n") as f:
    f.write("patient;age;crp;spo2;admitted\n")
    for p, *numbers, label in rows(140, .4):
        f.write(";".join([p, *map(german, numbers), label]) + "\n")
with open("south.csv", "w") as f:
    f.write("admitted,spo2,patient,crp,age\n")
    for p, age, crp, spo2, label in rows(110, .25):
        f.write(f"{label},{spo2},{p},{crp},{age}\n")
# a third one, with tabs; its patients have other numbers, as where one register counts them all
with open("east.tsv", "w") as f:
    f.write("patient\tadmitted\tcrp\tage\tspo2\n")
    for p, age, crp, spo2, label in rows(120, .3):
        f.write(f"E{p[1:]}\t{label}\t{crp}\t{age}\t{spo2}\n")
