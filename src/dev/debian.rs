//! The packages that Debian's apt knows of on this machine: real texts in a real number, for whatever is to be tried out.

use std::collections::HashSet;

use tokio::process::Command;

/// The list as apt gives it: a paragraph for each version of each package.
#[derive(Debug)]
pub struct List(String);

/// A package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    pub name: &'a str,
    paragraph: &'a str,
}

/// Asks apt; `None` where there is none, or where it knows of nothing.
pub async fn list() -> Option<List> {
    let output = Command::new("apt-cache").arg("dumpavail").kill_on_drop(true).output().await.ok()?;
    let text = String::from_utf8(output.stdout);
    let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    (!text.is_empty()).then_some(List(text))
}

impl List {
    /// Each package once: a name that has been seen is another version of the same.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        let mut names = HashSet::new();
        let packages = self.0.split("\n\n").filter_map(|paragraph| {
            let name = field(paragraph, "Package")?;
            Some(Package { name, paragraph })
        });
        packages.filter(move |package| names.insert(package.name))
    }
}

impl<'a> Package<'a> {
    pub fn field(&self, name: &str) -> Option<&'a str> {
        field(self.paragraph, name)
    }

    /// The items of a field that is a list with commas.
    pub fn items(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.field(name).unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty())
    }
}

fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    let is_at = |at: &usize| paragraph[*at..].strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
    let mut line_starts = std::iter::once(0).chain(paragraph.match_indices('\n').map(|(at, _)| at + 1));
    let value = &paragraph[line_starts.find(is_at)? + name.len() + 1..];
    // A line that begins with a space belongs to the field before it.
    let mut ends = value.match_indices('\n').filter(|(at, _)| !value[at + 1..].starts_with(' '));
    Some(value[..ends.next().map_or(value.len(), |(at, _)| at)].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_a_package_and_its_fields_may_go_on_in_the_next_line() {
        let list = List(
            "Package: vim\nTag: use::editing,\n works-with::text\nSize: 7\n\nPackage: nano\n\nPackage: vim\nSize: 8"
                .to_owned(),
        );
        let packages: Vec<_> = list.packages().collect();
        assert_eq!(packages.iter().map(|package| package.name).collect::<Vec<_>>(), ["vim", "nano"]);
        assert_eq!(packages[0].items("Tag").collect::<Vec<_>>(), ["use::editing", "works-with::text"]);
        assert_eq!((packages[0].field("Size"), packages[1].field("Size")), (Some("7"), None));
        assert_eq!(packages[0].items("Depends").count(), 0);
    }
}
