//! Whether this machine's settings name a proxy for what goes out.

use std::ffi::OsString;

/// What programs of the usual systems take an outbound HTTP proxy from; libraries differ in the case of the letters that they read.
const NAMES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// That a proxy which is set is of no use to a node, by the names of what sets it; nothing where none is. What they are set to is
/// not repeated: it may hold a password.
pub fn unused(of: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let set: Vec<&str> = NAMES.into_iter().filter(|name| of(name).is_some_and(|value| !value.is_empty())).collect();
    (!set.is_empty()).then(|| {
        format!(
            "{} set, and not used: nodes speak to each other over TCP and not by HTTP, so that an outbound HTTP proxy is not \
             supported; this machine must be let open connections to the other members' addresses itself (`consilium firewall` \
             prints them)",
            match set.as_slice() {
                [one] => format!("{one} is"),
                some => format!("{} are", some.join(", ")),
            }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_is_set_is_said_to_be_of_no_use_in_either_case_of_letters_and_its_password_is_not_shown() {
        let with = |set: &'static [(&'static str, &'static str)]| {
            unused(move |name| set.iter().find(|(is, _)| *is == name).map(|(_, value)| (*value).into()))
        };
        assert_eq!(with(&[]), None);
        // a variable that is there and empty names no proxy, and one of another name is none
        assert_eq!(with(&[("http_proxy", ""), ("no_proxy", "localhost")]), None);
        for name in NAMES {
            let said = unused(|asked| (asked == name).then(|| "http://user:secret@proxy.example:3128".into()));
            let said = said.unwrap_or_default();
            assert!(said.starts_with(&format!("{name} is set, and not used")), "{said}");
            assert!(said.contains("an outbound HTTP proxy is not supported") && !said.contains("secret"), "{said}");
        }
        let said = with(&[("HTTPS_PROXY", "a"), ("http_proxy", "a")]).unwrap_or_default();
        assert!(said.starts_with("http_proxy, HTTPS_PROXY are set"), "{said}");
    }
}
