//! No two source files of this crate import each other, directly or through others.
//!
//! Other crates include this file as a test of theirs: it reads the sources of the crate that compiles it. Unit tests
//! (`mod tests` at the end of a file) may import anything. A re-export is not an import: a path through one counts as an
//! import of the file that defines the item.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

/// A module path without `crate`: empty for `lib.rs`.
type Module = Vec<String>;

/// What one source file contains.
#[derive(Default)]
struct Source {
    /// The modules that it declares as files.
    children: BTreeSet<String>,
    /// The paths that it imports, or names in code.
    paths: Vec<Vec<String>>,
    /// The names that it re-exports, with their paths.
    exports: Vec<(String, Vec<String>)>,
}

#[test]
fn no_file_imports_itself_through_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    read(&root, &mut Vec::new(), &mut sources);
    assert!(sources.len() > 5, "the sources are read");

    let imports: BTreeMap<&Module, BTreeSet<Module>> = sources
        .iter()
        .map(|(module, source)| {
            let used = source.paths.iter().filter_map(|path| defined_in(path, module, &sources));
            (module, used.filter(|used| used != module).collect())
        })
        .collect();
    assert!(imports.values().any(|used| !used.is_empty()), "imports are found");
    let cycles: BTreeSet<String> = imports.keys().filter_map(|module| cycle(module, &imports)).collect();
    let cycles: Vec<String> = cycles.into_iter().collect();
    assert!(cycles.is_empty(), "import cycles:\n{}", cycles.join("\n"));
}

/// Reads the files of a folder. Binaries are crates of their own.
fn read(folder: &Path, module: &mut Module, sources: &mut BTreeMap<Module, Source>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let is_root = matches!(name.as_str(), "lib" | "mod");
        if name == "bin" || name == "main" {
            continue;
        }
        if !is_root {
            module.push(name);
        }
        if path.is_dir() {
            read(&path, module, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.insert(module.clone(), parse(&fs::read_to_string(&path).expect("UTF-8")));
        }
        if !is_root {
            module.pop();
        }
    }
}

fn parse(text: &str) -> Source {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let text: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let mut source = Source::default();
    let mut statements = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = find_use(rest) {
        let end = rest[start..].find(';').map_or(rest.len(), |len| start + len);
        let is_export = rest[..start]
            .trim_end()
            .rsplit([';', '}', ' ', ']'])
            .next()
            .is_some_and(|word| word == "pub" || word.starts_with("pub("));
        statements.push((is_export, rest[start + "use ".len()..end].to_owned()));
        rest = &rest[end..];
    }
    for (is_export, tree) in &statements {
        let mut leaves = Vec::new();
        flatten(tree, "", &mut leaves);
        for (path, name) in leaves {
            if *is_export { source.exports.push((name, path)) } else { source.paths.push(path) }
        }
    }
    for (at, _) in text.match_indices("mod ") {
        let declared = text[at + "mod ".len()..].split_once(';').map(|(name, _)| name);
        let is_name = |name: &&str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
        source.children.extend(declared.filter(is_name).map(str::to_owned));
    }
    // Paths in code; those of `use` statements were read above.
    let mut code = text.clone();
    for (_, tree) in &statements {
        code = code.replacen(tree, "", 1);
    }
    for word in code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        if word.contains("::") {
            let path: Vec<String> =
                word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            source.paths.push(path);
        }
    }
    source
}

/// The offset of the next `use` keyword.
fn find_use(text: &str) -> Option<usize> {
    text.match_indices("use ").map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
    })
}

/// The leaves of a `use` tree, with the name that each introduces: `a::{b, c as d}` is `a::b`, `b` and `a::c`, `d`.
fn flatten(tree: &str, prefix: &str, leaves: &mut Vec<(Vec<String>, String)>) {
    let (mut depth, mut start) = (0, 0);
    for (index, c) in tree.char_indices().chain([(tree.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = tree[start..index].trim();
                start = index + 1;
                if let Some((path, rest)) = item.split_once('{') {
                    flatten(rest.trim_end_matches('}'), &format!("{prefix}{}", path.trim()), leaves);
                } else if !item.is_empty() {
                    let (path, alias) = item.split_once(" as ").unwrap_or((item, ""));
                    let path: Vec<String> =
                        format!("{prefix}{path}").split("::").map(|part| part.trim().to_owned()).collect();
                    let path: Vec<String> = path.into_iter().filter(|part| part != "self").collect();
                    let name = path.last().cloned().unwrap_or_default();
                    leaves.push((path, if alias.is_empty() { name } else { alias.trim().to_owned() }));
                }
            }
            _ => {}
        }
    }
}

/// The file that defines the item at a path, seen from `module`. `None` for paths into other crates.
fn defined_in(path: &[String], module: &Module, sources: &BTreeMap<Module, Source>) -> Option<Module> {
    let mut path = path.iter().peekable();
    let mut current = match path.peek()?.as_str() {
        "crate" => {
            path.next();
            Module::new()
        }
        "super" => module.clone(),
        child if sources.get(module)?.children.contains(child) => module.clone(),
        _ => return None,
    };
    while path.next_if(|part| *part == "super").is_some() {
        current.pop();
    }
    for part in path {
        let mut child = current.clone();
        child.push(part.clone());
        if sources.contains_key(&child) {
            current = child;
            continue;
        }
        let export = sources.get(&current)?.exports.iter().find(|(name, _)| name == part);
        return match export {
            Some((_, target)) => defined_in(target, &current, sources).or(Some(current)),
            None => Some(current),
        };
    }
    Some(current)
}

/// The shortest cycle of imports through `module`, starting at its first file.
fn cycle(module: &Module, imports: &BTreeMap<&Module, BTreeSet<Module>>) -> Option<String> {
    let mut previous: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut queue = VecDeque::from([module]);
    while let Some(current) = queue.pop_front() {
        for next in imports.get(current).into_iter().flatten() {
            if next == module {
                let mut files = vec![current];
                while let Some(before) = previous.get(files[files.len() - 1]) {
                    files.push(before);
                }
                files.reverse();
                let first = files.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(at, _)| at);
                files.rotate_left(first);
                files.push(files[0]);
                let names = files.iter().map(|file| match file[..] {
                    [] => "lib".to_owned(),
                    _ => file.join("/"),
                });
                return Some(names.collect::<Vec<_>>().join(" -> "));
            }
            if let Entry::Vacant(entry) = previous.entry(next) {
                entry.insert(current);
                queue.push_back(next);
            }
        }
    }
    None
}
