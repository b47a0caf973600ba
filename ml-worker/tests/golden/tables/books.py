"""Makes book.xlsx, book.xls, book.ods and book.csv, which have the same rows; two.xlsx, which has two tables; wide.xlsx, with a
cell far away from the others.

    pip install openpyxl xlwt odfpy
"""
import csv, datetime, pathlib
import openpyxl, xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

HERE = pathlib.Path(__file__).parent
NAMES = ["patient", "größe", "crp", "remark", "seen", "smokes", "ill"]
ROWS = [
    (f"P{n // 2}", 1.5 + n / 64, None if n % 7 == 3 else n * 13 % 71, ['plain', 'with, comma', '"quoted"', "two\nlines"][n % 4],
     datetime.date(2024, 2, 27) + datetime.timedelta(days=n), n % 3 == 0, ["yes", "no"][n % 2])
    for n in range(40)
]


def text(value):
    """As spreadsheet programs save it as CSV, with dates as ISO 8601 has them and a blank for a line's end in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    return str(value).replace("\n", " ")


with open(HERE / "book.csv", "w", newline="", encoding="utf-8") as file:
    out = csv.writer(file, lineterminator="\n")
    out.writerow(NAMES)
    out.writerows([text(value) for value in row] for row in ROWS)

book = openpyxl.Workbook()
book.active.title = "export"
book.create_sheet("empty")
for row in [NAMES, *ROWS]:
    book.active.append(row)
book.save(HERE / "book.xlsx")
book["empty"]["B2"] = "and a remark"
book.save(HERE / "two.xlsx")
del book["empty"]
book.active["XFD1048576"] = "astray"
book.save(HERE / "wide.xlsx")

book = xlwt.Workbook()
sheet = book.add_sheet("export")
date = xlwt.easyxf(num_format_str="YYYY-MM-DD")
for r, row in enumerate([NAMES, *ROWS]):
    for c, value in enumerate(row):
        if value is not None:
            sheet.write(r, c, value, *([date] if isinstance(value, datetime.date) else []))
book.save(str(HERE / "book.xls"))

book = OpenDocumentSpreadsheet()
sheet = Table(name="export")
for row in [NAMES, *ROWS]:
    line = TableRow()
    for value in row:
        if value is None:
            cell = TableCell()
        elif isinstance(value, bool):
            cell = TableCell(valuetype="boolean", booleanvalue=str(value).lower())
        elif isinstance(value, datetime.date):
            cell = TableCell(valuetype="date", datevalue=value.isoformat())
        elif isinstance(value, str):
            cell = TableCell(valuetype="string")
            for part in value.split("\n"):
                cell.addElement(P(text=part))
        else:
            cell = TableCell(valuetype="float", value=repr(value))
        line.addElement(cell)
    sheet.addElement(line)
book.spreadsheet.addElement(sheet)
book.save(str(HERE / "book.ods"))
