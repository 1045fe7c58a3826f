//! Pins: lines that name a wheel, its version and its digest.

/// One line of a list of pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// The whole line, as pip wants it.
    pub requirement: &'static str,
    /// The package's name on the registry.
    pub package: &'static str,
    /// Hexadecimal digest of the wheel.
    pub sha256: &'static str,
}

impl Wheel {
    /// Whether `file` is the name of this wheel: names of files have `_` where packages have `-`.
    pub(super) fn is_named(&self, file: &str) -> bool {
        let stem = self.package.replace('-', "_");
        file.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('-')) && file.ends_with(".whl")
    }
}

/// The wheels of a list as `pip download -r` reads it.
pub fn pinned(list: &'static str) -> impl Iterator<Item = Wheel> {
    list.lines().filter_map(|line| {
        let requirement = line.trim();
        let (package, rest) = requirement.split_once("==")?;
        let (_, sha256) = rest.split_once("--hash=sha256:")?;
        (!requirement.starts_with('#')).then_some(Wheel { requirement, package, sha256 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_knows_its_file() {
        let wheels: Vec<Wheel> = pinned("# some\na-b==1.0 --hash=sha256:00ff\na-c==2 --hash=sha256:11\n").collect();
        assert_eq!(
            wheels.iter().map(|wheel| (wheel.package, wheel.sha256)).collect::<Vec<_>>(),
            [("a-b", "00ff"), ("a-c", "11")]
        );
        assert!(wheels[0].is_named("a_b-1.0-py3-none-any.whl"));
        assert!(!wheels[0].is_named("a_c-2-py3-none-any.whl"));
        assert!(!wheels[0].is_named("a_b-1.0.tar.gz"));
    }
}
