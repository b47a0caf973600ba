//! Numbers as people read them.

/// Whether nothing but zeros is left of a number's digits.
fn nothing(text: &str) -> bool {
    text.bytes().all(|c| matches!(c, b'0' | b'.'))
}

/// A number with so many decimals. One of which nothing but zeros is left has no sign: nobody knows what a negative zero says.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if nothing(rest) => rest.to_owned(),
        _ => text,
    }
}

/// [`fixed`] with its sign, as differences are written: none where nothing but zeros is left.
pub fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    if value > 0.0 && !nothing(&text) {
        format!("+{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_nothing_has_no_sign() {
        let all = [-0.0, 0.0, -0.000_4, 0.000_4].map(|value| (fixed(value, 3), signed(value, 3)));
        assert!(all.iter().all(|(plain, with)| plain == "0.000" && with == "0.000"), "{all:?}");
        assert_eq!((fixed(-0.4, 0), signed(-0.4, 0)), ("0".into(), "0".into()));
        assert_eq!((fixed(-0.0006, 3), signed(-0.0006, 3)), ("-0.001".into(), "-0.001".into()));
        assert_eq!((fixed(0.25, 4), signed(0.25, 4)), ("0.2500".into(), "+0.2500".into()));
        assert_eq!((fixed(-10.0, 1), signed(f64::NAN, 2)), ("-10.0".into(), "NaN".into()));
    }
}
