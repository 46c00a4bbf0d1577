//! The one test target. Each file is a verb or a concern that cuts across them.
