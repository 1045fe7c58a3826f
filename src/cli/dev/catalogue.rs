//! What the demo's table is filled with: Debian's packages where this machine knows of them, else some that might be.

use tidewell::dev::debian::Package;

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) section: &'a str,
    pub(super) priority: &'a str,
    pub(super) maintainer: &'a str,
    pub(super) description: &'a str,
    pub(super) homepage: Option<&'a str>,
    pub(super) tags: String,
    /// In KB.
    pub(super) installed_size: i64,
}

impl<'a> From<Package<'a>> for Row<'a> {
    fn from(package: Package<'a>) -> Self {
        Self {
            name: package.name,
            version: package.field("Version").unwrap_or_default(),
            section: package.field("Section").unwrap_or("none"),
            priority: package.field("Priority").unwrap_or("optional"),
            maintainer: package.field("Maintainer").unwrap_or("nobody"),
            description: package.field("Description").unwrap_or_default(),
            homepage: package.field("Homepage"),
            tags: package.items("Tag").collect::<Vec<_>>().join(","),
            installed_size: package.field("Installed-Size").and_then(|size| size.parse().ok()).unwrap_or_default(),
        }
    }
}

/// A package that was thought up.
pub(super) struct Invented {
    name: String,
    version: String,
    description: String,
    homepage: String,
    section: &'static str,
    priority: &'static str,
    maintainer: &'static str,
    installed_size: i64,
}

const MAKERS: [(&str, &str); 12] = [
    ("amber", "Amber Collective"),
    ("birch", "Birch Tools"),
    ("cobalt", "Cobalt Works"),
    ("dune", "Dune Maintainers"),
    ("elm", "Elm Foundry"),
    ("flint", "Flint & Steel"),
    ("grove", "Grove Project"),
    ("heron", "Heron Labs"),
    ("iris", "Iris Team"),
    ("jade", "Jade Circle"),
    ("kelp", "Kelp Foundation"),
    ("lark", "Lark Developers"),
];
/// What a program is, in which section, and what it does.
const KINDS: [(&str, &str, &str); 20] = [
    ("editor", "editors", "text editor with syntax highlighting"),
    ("notes", "editors", "editor for notes and outlines"),
    ("browser", "web", "small and quick web browser"),
    ("server", "httpd", "web server for static and dynamic pages"),
    ("mail", "mail", "mail reader with search and threads"),
    ("chat", "net", "client for several chat protocols"),
    ("sync", "net", "keeps folders of several machines alike"),
    ("backup", "admin", "encrypted backups with deduplication"),
    ("monitor", "admin", "watches processes, disks and networks"),
    ("shell", "shells", "interactive shell with completion"),
    ("compiler", "devel", "optimizing compiler with clear messages"),
    ("debugger", "devel", "debugger that can go back in time"),
    ("database", "database", "embedded relational database"),
    ("search", "database", "full text search engine"),
    ("paint", "graphics", "painting program with layers"),
    ("photos", "graphics", "sorts and develops photographs"),
    ("player", "sound", "music player with playlists"),
    ("synth", "sound", "modular software synthesizer"),
    ("chess", "games", "game of chess with a patient opponent"),
    ("maze", "games", "puzzle game of mazes and keys"),
];
/// What comes with a program, and how it is described.
const PARTS: [(&str, &str); 16] = [
    ("", ""),
    ("-data", " (data files)"),
    ("-doc", " (documentation)"),
    ("-dev", " (development files)"),
    ("-plugins", " (plugins)"),
    ("-themes", " (themes)"),
    ("-locales", " (translations)"),
    ("-gtk", " with a graphical interface"),
    ("-tui", " for the terminal"),
    ("-minimal", " (minimal build)"),
    ("-full", " with everything in it"),
    ("-common", " (shared files)"),
    ("-tests", " (test suite)"),
    ("-examples", " (examples)"),
    ("-daemon", " as a service"),
    ("-tools", " (tools for the command line)"),
];

/// Every maker's every program with all that comes with it: some thousands, always the same.
pub(super) fn invented() -> impl Iterator<Item = Invented> {
    (0..MAKERS.len() * KINDS.len() * PARTS.len()).map(|number| {
        let (maker, maintainer) = MAKERS[number % MAKERS.len()];
        let (kind, section, purpose) = KINDS[number / MAKERS.len() % KINDS.len()];
        let (part, addition) = PARTS[number / MAKERS.len() / KINDS.len()];
        // Scattered, yet the same on every machine.
        let chance = (number * 7919 + 104_729) % 10_007;
        Invented {
            name: format!("{maker}-{kind}{part}"),
            version: format!("{}.{}.{}-1", chance % 9, chance % 23, chance % 7),
            description: format!("{purpose}{addition}"),
            homepage: format!("https://{maker}.example.org/{kind}"),
            section,
            priority: if chance.is_multiple_of(50) { "standard" } else { "optional" },
            maintainer,
            installed_size: 20 + i64::try_from(chance * chance % 90_000).unwrap_or_default(),
        }
    })
}

impl<'a> From<&'a Invented> for Row<'a> {
    fn from(invented: &'a Invented) -> Self {
        Self {
            name: &invented.name,
            version: &invented.version,
            section: invented.section,
            priority: invented.priority,
            maintainer: invented.maintainer,
            description: &invented.description,
            homepage: Some(&invented.homepage),
            tags: format!("role::program,section::{}", invented.section),
            installed_size: invented.installed_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn thousands_of_packages_are_thought_up_and_no_two_alike() {
        let all: Vec<Invented> = invented().collect();
        let names: HashSet<&str> = all.iter().map(|package| package.name.as_str()).collect();
        assert_eq!((names.len(), all.len()), (3840, 3840));
        assert!(all.iter().any(|package| package.description.contains("editor")));
    }
}
