//! Makes one HTML file of the compiled library and the page, or a module for Node of any library.
//!
//! `pack LIBRARY.wasm PAGE_FOLDER OUT.html`: the page is `page.html` of the folder, in which `{{name}}` stands for a part.
//! `pack LIBRARY.wasm OUT_FOLDER`: `library.js` there is a module for Node.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use wasm_bindgen_cli_support::Bindgen;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [library, folder, out] => {
            let page = page(library, folder, out)?;
            fs::write(out, &page).map_err(|error| format!("{}: {error}", out.display()))?;
            println!("{}: {} bytes", out.display(), page.len());
        }
        [library, out] => bindgen(library).nodejs(true)?.generate(out)?,
        _ => return Err("usage: pack LIBRARY.wasm [PAGE_FOLDER] OUT".into()),
    }
    Ok(())
}

fn page(library: &Path, folder: &Path, out: &Path) -> Result<String> {
    let (bindings, module) = bind(library, &out.with_extension("parts"))?;
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (style, script) = (read("page.css")?, read("page.js")?);
    let worker = format!("{bindings}\n{}", read("worker.js")?);
    for (name, part) in [
        ("page.js", &script),
        ("worker.js", &worker),
        ("page.css", &style),
    ] {
        if part.contains("</script") || part.contains("</style") {
            return Err(format!("{name} would end the element that it stands in").into());
        }
    }
    let (script_hash, style_hash) = (hash(&script), hash(&style));
    let parts = [
        ("{{script hash}}", script_hash.as_str()),
        ("{{style hash}}", &style_hash),
        ("{{style}}", &style),
        ("{{script}}", &script),
        ("{{worker}}", &worker),
        ("{{module}}", &STANDARD.encode(module)),
    ];
    let mut page = read("page.html")?;
    for (name, part) in parts {
        if page.matches(name).count() != 1 {
            return Err(format!("page.html should hold {name} once").into());
        }
        page = page.replacen(name, part, 1);
    }
    Ok(page)
}

/// JavaScript that calls the library, and the module that it calls.
fn bind(library: &Path, parts: &Path) -> Result<(String, Vec<u8>)> {
    bindgen(library).no_modules(true)?.generate(parts)?;
    let bindings = fs::read_to_string(parts.join("library.js"))?;
    let module = fs::read(parts.join("library_bg.wasm"))?;
    fs::remove_dir_all(parts)?;
    Ok((bindings, module))
}

fn bindgen(library: &Path) -> Bindgen {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(library)
        .typescript(false)
        // Names of functions serve a debugger alone.
        .remove_name_section(true)
        .out_name("library");
    bindgen
}

/// As a content security policy names a script that may run.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}
