#!/usr/bin/env python3
"""Runs the lines of docs/exports.md in the programs that they are for, and compares the tables that come out with what went in.

    python3 -m venv .venv && .venv/bin/pip install pandas pyarrow anndata
    sudo apt-get install r-base-core r-cran-haven r-bioc-geoquery pspp postgresql
    .venv/bin/python scripts/exports.py [--worker target/release/ml-worker]

A program that is not there is an error: what is said to be run has been run. With --worker each table goes through preflight, too.
"""
import argparse, glob, gzip, math, os, pathlib, re, shutil, subprocess, sys, tempfile

import anndata, numpy, pandas

ROOT = pathlib.Path(__file__).resolve().parent.parent
NUMBERS = ["age", "crp", "spo2"]
GENES = ["TP53", "BRCA1"]


def visits():
    """Sixty made-up visits, with gaps."""
    draw = numpy.random.default_rng(5)
    table = pandas.DataFrame({
        "patient": [1000 + n // 2 for n in range(60)], "age": draw.integers(20, 90, 60),
        "crp": draw.gamma(2, 20, 60).round(1), "spo2": draw.normal(95, 2, 60).round(1),
        "admitted": numpy.where(draw.random(60) < .4, "yes", "no")})
    table.loc[[3, 17], "crp"] = math.nan
    return table


def run(command, script, folder):
    done = subprocess.run(command, input=script, cwd=folder, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{command[0]} says {done.returncode} of:\n{script}\n{done.stdout}{done.stderr}")


def r(script, folder):
    run(["Rscript", "--vanilla", "-"], script, folder)


def python(script, folder):
    run([sys.executable, "-"], "import anndata, pandas\n" + script, folder)


def spss(script, folder):
    (folder / "lines.sps").write_text(script)
    run(["pspp", "-o", "said.txt", "lines.sps"], "", folder)


def sql(script, folder):
    """In a cluster of its own, which is gone afterwards. The server does not run as root."""
    tools = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
    data = pathlib.Path(tempfile.mkdtemp())
    as_other = []
    if os.geteuid() == 0:
        as_other = ["runuser", "-u", "postgres", "--"]
        shutil.chown(data, "postgres")
    try:
        run([*as_other, str(tools / "initdb"), "-D", f"{data}/db", "-U", "consilium", "-A", "trust"], "", "/")
        options = f"-c listen_addresses='' -c unix_socket_directories={data}"
        run([*as_other, str(tools / "pg_ctl"), "-D", f"{data}/db", "-l", f"{data}/log", "-w", "-o", options, "start"], "", "/")
        psql = ["psql", "-h", str(data), "-U", "consilium", "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1"]
        run(psql, (folder / "omop.sql").read_text() + script, folder)
    finally:
        run([*as_other, str(tools / "pg_ctl"), "-D", f"{data}/db", "-m", "immediate", "stop"], "", "/")
        shutil.rmtree(data)


def inputs(table, folder):
    """What each program begins with."""
    table.to_csv(folder / "made.csv", index=False)
    table.to_stata(folder / "visits.dta", write_index=False)
    r("""d <- read.csv("made.csv"); saveRDS(d, "visits.rds"); haven::write_sav(d, "visits.sav")
         suppressWarnings(haven::write_sas(d, "visits.sas7bdat"))""", folder)
    genes = numpy.arange(120, dtype=numpy.float32).reshape(60, 2) / 8
    obs = table[["admitted", "patient"]].rename(columns={"admitted": "ill"}).set_index(pandas.Index([f"c{n}" for n in range(60)]))
    anndata.AnnData(genes, obs=obs, var=pandas.DataFrame(index=GENES)).write_h5ad(folder / "cells.h5ad")
    line = lambda name, cells: "\t".join([name, *(f'"{cell}"' for cell in cells)]) + "\n"
    with gzip.open(folder / "GSE1_series_matrix.txt.gz", "wt") as file:
        samples = [f"GSM{n}" for n in range(60)]
        file.write('!Series_title\t"made up"\n!Series_geo_accession\t"GSE1"\n\n' + line("!Sample_title", samples))
        file.write(line("!Sample_geo_accession", samples))
        file.write(line("!Sample_characteristics_ch1", [f"status: {cell}" for cell in table["admitted"]]))
        file.write("!series_matrix_table_begin\n" + line('"ID_REF"', samples))
        for gene, values in zip(GENES, genes.T):
            file.write("\t".join([f'"{gene}"', *(str(value) for value in values)]) + "\n")
        file.write("!series_matrix_table_end\n")
    rows = "CREATE TABLE person (person_id int, year_of_birth int);\n" \
           "CREATE TABLE visit_occurrence (visit_occurrence_id int, person_id int, visit_start_date date);\n" \
           "CREATE TABLE measurement (visit_occurrence_id int, measurement_concept_id int, value_as_number numeric);\n" \
           "CREATE TABLE visit_detail (visit_occurrence_id int, visit_detail_concept_id int);\n"
    # of a patient's visits the second is as many years later as they are older
    for patient, own in table.groupby("patient"):
        born = 2024 - int(own["age"].max())
        rows += f"INSERT INTO person VALUES ({patient}, {born});\n"
        for n, visit in own.iterrows():
            rows += f"INSERT INTO visit_occurrence VALUES ({n}, {patient}, '{born + visit['age']}-06-01');\n"
            for concept, column in [(3020460, "crp"), (40762499, "spo2")]:
                if not math.isnan(visit[column]):
                    rows += f"INSERT INTO measurement VALUES ({n}, {concept}, {visit[column]});\n"
            rows += f"INSERT INTO visit_detail VALUES ({n}, {32037 if visit['admitted'] == 'yes' else 9203});\n"
    (folder / "omop.sql").write_text(rows)
    return genes


def same(found, wanted, columns, where):
    order = lambda table: table[columns].sort_values(columns, ignore_index=True)
    try:
        pandas.testing.assert_frame_equal(order(found), order(wanted), check_dtype=False, rtol=1e-6)
    except AssertionError as error:
        sys.exit(f"{where}: another table came out than went in: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", type=pathlib.Path)
    arguments = parser.parse_args()
    programs = {"r": r, "python": python, "spss": spss, "sql": sql}
    page = (ROOT / "docs/exports.md").read_text()
    table, ran = visits(), []
    for section in re.split(r"^## ", page, flags=re.M)[1:]:
        name = section.splitlines()[0]
        for language, lines in re.findall(r"^```(\w+)\n(.*?)^```", section, flags=re.M | re.S):
            if language not in programs:
                continue
            assert lines.count("\n") == 2, f"{name}: two lines are promised"
            with tempfile.TemporaryDirectory() as place:
                folder = pathlib.Path(place)
                genes = inputs(table, folder)
                programs[language](lines, folder)
                out = folder / ("north.parquet" if "north.parquet" in lines else "north.csv")
                found = pandas.read_parquet(out) if out.suffix == ".parquet" else pandas.read_csv(out, na_values=[" "])
                if name in ("AnnData", "GEO"):
                    wanted = pandas.DataFrame(genes, columns=GENES).assign(ill=table["admitted"])
                    same(found.assign(ill=found["ill"].astype(str)), wanted, [*GENES, "ill"], name)
                else:
                    same(found, table, list(table.columns), name)
                    if arguments.worker:
                        study = ROOT / "examples/own-csv/study.toml"
                        run([arguments.worker.resolve(), "preflight", "--study", study, "--data", out], "", folder)
                ran.append(f"{name} ({language})")
    print("the tables that went in came out of: " + ", ".join(ran))


if __name__ == "__main__":
    main()
