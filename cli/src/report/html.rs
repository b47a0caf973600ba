//! A page of its own: no script, no outside host, legible on a screen and on paper.

use crate::plain::seen;

/// A text of others as text in HTML, also inside an attribute: marks of the language are spelt out, and so is what is not seen. No line
/// ends between a number and its percent sign.
pub fn escaped(text: &str) -> String {
    as_it_is(&joined(text))
}

/// The same of what is copied: its spaces stay as they are.
fn as_it_is(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in seen(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A text whose percent signs stand beside their numbers, with a space at which no line ends.
fn joined(text: &str) -> String {
    let mut parts = text.split(" %");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = out.ends_with(|c: char| c.is_ascii_digit());
        out.push_str(if number { "\u{a0}%" } else { " %" });
        out.push_str(part);
    }
    out
}

/// Whether what stands between backticks is a command, or the name of something that is typed.
pub fn typed(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || " -./_=…".contains(c))
}

/// A text whose commands stand between backticks, which are shown as such.
pub fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len() % 2 != 1 {
        return escaped(text);
    }
    let shown = |(n, part): (usize, &&str)| match n % 2 {
        1 if typed(part) => format!("<code>{}</code>", escaped(part)),
        1 => format!("`{}`", escaped(part)),
        _ => escaped(part),
    };
    parts.iter().enumerate().map(shown).collect()
}

/// A paragraph of a text.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", prose(text))
}

/// A paragraph beside what matters: how to read it.
pub fn note(text: &str) -> String {
    format!("<p class=\"dim\">{}</p>", prose(text))
}

/// Texts that nobody must miss; nothing where there are none.
pub fn loud<S: AsRef<str>>(texts: &[S]) -> String {
    let each: String = texts.iter().map(|text| paragraph(text.as_ref())).collect();
    if each.is_empty() {
        return each;
    }
    format!("<div class=\"loud\">{each}</div>")
}

/// A list of texts.
pub fn list<S: AsRef<str>>(texts: &[S]) -> String {
    let items: String = texts.iter().map(|text| format!("<li>{}</li>", prose(text.as_ref()))).collect();
    format!("<ul>{items}</ul>")
}

/// A part of the page; `body` is HTML.
pub fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section id=\"{}\"><h2>{}</h2>{body}</section>", escaped(id), escaped(title))
}

/// Links to the parts of a page, which [`section`] has made, so that none is missed below a long table.
pub fn contents(parts: &str) -> String {
    let each = parts.split("<section id=\"").skip(1).filter_map(|part| {
        let (id, rest) = part.split_once("\"><h2>")?;
        let (title, _) = rest.split_once("</h2>")?;
        Some(format!("<a href=\"#{id}\">{title}</a>"))
    });
    format!("<nav aria-label=\"contents\">{}</nav>", each.collect::<Vec<_>>().join(" "))
}

/// A table. Heads are texts; cells are texts, numbers to the right, and so are the heads above them. No word is broken in it: one that
/// is wider than the page moves in a box of its own.
pub fn table(heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let number = |n: usize| rows.first().and_then(|row| row.get(n)).is_some_and(|cell| matches!(cell, Cell::Number(_)));
    let class = |n: usize| if number(n) { " class=\"n\"" } else { "" };
    let head = |(n, head): (usize, &&str)| format!("<th scope=\"col\"{}>{}</th>", class(n), escaped(head));
    let head: String = heads.iter().enumerate().map(head).collect();
    let row = |cells: &Vec<Cell>| {
        let cells: String = cells.iter().map(Cell::html).collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
}

/// A cell of a table.
pub enum Cell {
    /// A text.
    Text(String),
    /// A text that names its row.
    Head(String),
    /// A number, or what stands in its place.
    Number(String),
    /// A text in a class of its own, such as `bad`.
    Marked(&'static str, String),
}

/// Whether a dash stands where a number would: a sentence under the table says what it means there.
pub fn dash(cell: &Cell) -> bool {
    matches!(cell, Cell::Number(text) if text == "–")
}

impl Cell {
    fn html(&self) -> String {
        match self {
            Self::Text(text) => format!("<td>{}</td>", escaped(text)),
            Self::Head(text) => format!("<th scope=\"row\">{}</th>", escaped(text)),
            Self::Number(text) => format!("<td class=\"n\">{}</td>", escaped(text)),
            Self::Marked(class, text) => format!("<td class=\"{class}\">{}</td>", escaped(text)),
        }
    }
}

/// Names and what they stand for.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let each: String =
        pairs.iter().map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value))).collect();
    format!("<dl>{each}</dl>")
}

/// Commands, or what else is copied as it is.
pub fn code(text: &str) -> String {
    // lines stay lines: each is escaped by itself
    let lines: Vec<String> = text.lines().map(as_it_is).collect();
    format!("<pre>{}</pre>", lines.join("\n"))
}

const STYLE: &str = "
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:62rem;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif;color:#1a1a1a;background:#fff;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0}
h2{font-size:1.2rem;margin:2rem 0 .6rem;border-bottom:1px solid #ccc;padding-bottom:.2rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
p,ul{margin:.4rem 0}
ul{padding-left:1.2rem}
li{margin:.2rem 0}
.by{color:#555}
.loud{border-left:.35rem solid #b3261e;background:#fdecea;padding:.2rem .9rem;margin:.6rem 0;font-weight:600}
nav{margin:.6rem 0;font-size:.92rem}
nav a{color:#0b4f8a;margin-right:1rem;white-space:nowrap}
.state{display:inline-block;padding:.1rem .6rem;border-radius:1rem;border:1px solid #555;font-weight:600}
.state.done{background:#e6f3ec;border-color:#00795a}
.state.none{background:#fdecea;border-color:#b3261e}
.state.rehearsal{background:#ededed;border-color:#777}
.three{display:grid;grid-template-columns:minmax(0,1fr);gap:1rem}
.three>div{border:1px solid #ccc;border-radius:.4rem;padding:.2rem 1rem .6rem;background:#fafafa}
.three h3{margin-top:.6rem}
.three ul{padding-left:1.1rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.4rem 0}
dt{color:#555}
dd{margin:0}
.brief dt{font-weight:600}
.brief a{color:#0b4f8a}
table{border-collapse:collapse;margin:.5rem 0;font-size:.92rem}
th,td{text-align:left;padding:.22rem .7rem .22rem 0;border-bottom:1px solid #e2e2e2;vertical-align:top}
th{font-weight:600}
tbody th{min-width:7.5rem}
thead th{border-bottom:1px solid #888}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.fold .n{white-space:normal}
thead .n{white-space:normal}
td.bad,td.good,td.dim,td.t{white-space:nowrap}
.bad{color:#b3261e;font-weight:600}
.good{color:#00694e;font-weight:600}
.dim{color:#666}
.wide{overflow-x:auto;overflow-wrap:normal}
pre{background:#f4f4f4;border:1px solid #ddd;border-radius:.3rem;padding:.6rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.45 ui-monospace,'DejaVu Sans Mono',monospace}
code{font:.92em ui-monospace,'DejaVu Sans Mono',monospace}
svg{display:block;width:100%;height:auto;font:11px system-ui,sans-serif;fill:#333}
svg .grid{stroke:#e4e4e4;stroke-width:1}
svg .axis{stroke:#666;stroke-width:1}
svg .mark{stroke:#111;stroke-width:1;stroke-dasharray:2 2}
svg .bar{stroke:#0072b2;stroke-width:2}
svg .dot{fill:#0072b2}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;list-style:none;padding:0;font-size:.88rem}
.legend li{display:flex;align-items:center;gap:.4rem}
svg.key{width:26px;height:8px;flex:none}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:.5rem 1.5rem;max-width:46rem}
figure{margin:.6rem 0}
figcaption{font-size:.88rem;color:#555}
@media print{
@page{margin:16mm}
body{max-width:none;padding:0;font-size:10.5pt}
nav{display:none}
h2{break-after:avoid}
h3{break-after:avoid}
tr,figure,.three>div,.loud,pre{break-inside:avoid}
.wide{overflow:visible}
table{font-size:9pt}
.three{grid-template-columns:1fr}
}
";

/// The whole page; `body` is HTML.
pub fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n<title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_is_text_and_shows_what_is_not_seen() {
        let said = escaped("<img src=x onerror=\"a()\">&'\u{202e}\n\u{1b}[2J");
        assert_eq!(said, "&lt;img src=x onerror=&quot;a()&quot;&gt;&amp;&#39;\\u{202e}\\u{a}\\u{1b}[2J");
        assert_eq!(code("a\n<b>\r"), "<pre>a\n&lt;b&gt;\\u{d}</pre>");
        // what is typed is shown as such, and nothing else is
        assert_eq!(prose("a `b --c D` & `<e>`"), "a <code>b --c D</code> &amp; `&lt;e&gt;`");
        assert_eq!(prose("a ` <b>"), "a ` &lt;b&gt;");
        let cells = vec![vec![Cell::Head("<a>".into()), Cell::Marked("bad", "<b>".into())]];
        let said = table(&["<h>"], &cells);
        assert!(!said.contains("<a>") && !said.contains("<b>") && !said.contains("<h>"), "{said}");
    }

    #[test]
    fn no_line_ends_between_a_number_and_its_percent_sign_and_what_is_copied_stays() {
        assert_eq!(escaped("95 % of 5 %, a % b"), "95\u{a0}% of 5\u{a0}%, a % b");
        let said = table(&["AUC (95 %)"], &[vec![Cell::Number("5.0 %".into()), Cell::Marked("t", "7 %".into())]]);
        assert_eq!((said.matches("\u{a0}%").count(), said.contains(" %")), (3, false), "{said}");
        assert_eq!(prose("30 % `a b` 4 %"), "30\u{a0}% <code>a b</code> 4\u{a0}%");
        assert_eq!(code("echo 5 %"), "<pre>echo 5 %</pre>");
    }

    #[test]
    fn every_part_is_within_reach_from_the_top() {
        let parts = section("limits", "What it <does>", "<p>x</p>") + &section("made", "Versions", "");
        let links = "<a href=\"#limits\">What it &lt;does&gt;</a> <a href=\"#made\">Versions</a>";
        assert_eq!(contents(&parts), format!("<nav aria-label=\"contents\">{links}</nav>"));
    }

    #[test]
    fn no_table_breaks_words_and_heads_stand_above_their_numbers() {
        let page = page("t", &table(&["Site", "Rows"], &[vec![Cell::Head("Alder".into()), Cell::Number("24".into())]]));
        // what breaks anywhere makes columns of one letter where a table is wider than the page
        assert!(page.contains(".wide{overflow-x:auto;overflow-wrap:normal}"), "{page}");
        assert!(page.contains("<th scope=\"col\">Site</th><th scope=\"col\" class=\"n\">Rows</th>"), "{page}");
        // every table is in such a box
        assert_eq!(page.matches("<table>").count(), page.matches("<div class=\"wide\" tabindex=\"0\"><table>").count());
    }

    #[test]
    fn a_page_loads_nothing_and_has_no_script() {
        let page = page("a</title><script>", "body");
        assert!(page.contains("default-src 'none'") && !page.contains("<script"), "{page}");
        for outside in ["http://", "https://", "url(", "@import", "src="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
