//! What the fuzzers start from, and what they have found, holds.

#[path = "fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "written as a library of its own, which the fuzzers use too")]
mod fuzz;

use std::{fs, path::Path};

#[test]
fn every_input_of_the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, target) in fuzz::TARGETS {
        let inputs: Vec<_> = fs::read_dir(corpus.join(name)).expect("a corpus").collect();
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            target(&fs::read(input.expect("an input").path()).expect("its bytes"));
        }
    }
}
