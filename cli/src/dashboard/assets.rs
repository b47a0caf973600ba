//! The page's files, as `dashboard/` builds them: part of this program, so that it needs no other file and no other host.

/// A file of the page.
pub struct Asset {
    /// Its name below the page's address; empty for the page itself.
    pub name: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// All of them.
pub const ASSETS: [Asset; 4] = [
    Asset { name: "", kind: "text/html; charset=utf-8", bytes: include_bytes!("../../../dashboard/dist/index.html") },
    Asset {
        name: "app.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../../dashboard/dist/app.js"),
    },
    Asset {
        name: "app.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("../../../dashboard/dist/app.css"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../../../dashboard/dist/icon.svg") },
];
