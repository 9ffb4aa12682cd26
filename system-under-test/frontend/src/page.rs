//! The files of the page. They are part of the program: a page and the program that serves it are always of one version.

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// What it says.
    pub text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! file {
    ($path:literal, $content_type:ident, $name:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            text: include_str!(concat!("../page/", $name)),
        }
    };
}

/// All files of the page.
pub const FILES: [File; 12] = [
    file!("/", HTML, "index.html"),
    file!("/shop.css", CSS, "shop.css"),
    file!("/icon.svg", IMAGE, "icon.svg"),
    file!("/main.js", SCRIPT, "main.js"),
    file!("/settings.js", SCRIPT, "settings.js"),
    file!("/requests.js", SCRIPT, "requests.js"),
    file!("/words.js", SCRIPT, "words.js"),
    file!("/assortment.js", SCRIPT, "assortment.js"),
    file!("/basket.js", SCRIPT, "basket.js"),
    file!("/customer.js", SCRIPT, "customer.js"),
    file!("/purchase.js", SCRIPT, "purchase.js"),
    file!("/progress.js", SCRIPT, "progress.js"),
];
