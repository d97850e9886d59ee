//! `ht run`: runs, resumes or skips.
