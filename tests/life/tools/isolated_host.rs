//! Hosts whose children are counted when they are done.

use crate::common::census::children;
use crate::common::isolated::isolated;
use crate::common::{eventually, run};

/// Runs a test as a process that has no other children, and holds that none survives it.
pub fn in_a_host_of_its_own(test: impl FnOnce()) {
    isolated(|| {
        test();
        run(eventually(
            "no survivor",
            || children().is_empty().then_some(()),
            || format!("{:?}", children()),
        ));
    });
}
