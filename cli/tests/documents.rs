//! Documents name files: each of them must exist. Not here: whether a sentence is true.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Words in backquotes that are paths of this repository: they have a slash and begin with one of
/// its folders.
fn paths(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|word| word.contains('/') && !word.contains(char::is_whitespace))
        .filter(|word| {
            let folder = word.split('/').next().unwrap_or_default();
            !folder.is_empty() && root().join(folder).is_dir()
        })
        .collect()
}

/// Targets of links to other files.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.starts_with("http") && !target.starts_with('#'))
        .collect()
}

#[test]
fn named_files_exist() {
    let mut documents = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).expect("the folder exists");
        documents.extend(entries.flatten().map(|entry| entry.path()));
    }
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(documents.len() > 8);
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document is text");
        for path in paths(&text) {
            assert!(root().join(path).exists(), "{}: {path}", document.display());
        }
        let folder = document.parent().expect("a document has a folder");
        for link in links(&text) {
            assert!(folder.join(link).exists(), "{}: {link}", document.display());
        }
    }
}
