use super::*;
use std::fs;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_made_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    write(&path, b"one").unwrap();
    write(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(names(folder.path()), ["result.json"]);
}

#[test]
fn a_file_that_need_not_be_durable_is_replaced_whole_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.md");
    write_not_durable(&path, b"one").unwrap();
    let mut reader = File::open(&path).unwrap();
    write_not_durable(&path, b"two").unwrap();
    let mut old = String::new();
    std::io::Read::read_to_string(&mut reader, &mut old).unwrap();
    assert_eq!(old, "one", "who has it open reads on in the old file");
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(names(folder.path()), ["report.md"]);
}

#[test]
fn a_writer_that_fails_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    write(&path, b"old").unwrap();
    let failed = write_with(&path, |file| {
        file.write_all(b"ne")?;
        Err(Error::other("the source ran dry"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "the source ran dry");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["checkpoint"]);
}

#[test]
fn a_folder_of_the_name_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("inside"), "old").unwrap();
    assert_eq!(write(&path, b"new").unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(fs::read(path.join("inside")).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["taken"]);
}

#[test]
fn a_folder_that_is_not_there_is_the_systems_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = write(&folder.path().join("no/file"), b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!error.to_string().contains(PARTIAL), "{error}");
}

#[test]
fn many_writers_of_one_file_leave_the_whole_content_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared");
    std::thread::scope(|scope| {
        for writer in 0..8u8 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..20 {
                    write(path, &[writer; 100_000]).unwrap();
                    let seen = fs::read(path).unwrap();
                    assert!(seen.len() == 100_000 && seen.iter().all(|byte| *byte == seen[0]));
                }
            });
        }
    });
    assert_eq!(names(folder.path()), ["shared"]);
}

#[test]
fn what_a_killed_process_left_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (old, young) = (".result.json.a1B2c3.partial", ".result.json.d4E5f6.partial");
    let others = [".lock", "notes.partial"];
    for name in [old, young].iter().chain(&others) {
        let file = File::create(folder.path().join(name)).unwrap();
        if *name != young {
            file.set_modified(std::time::SystemTime::now() - ABANDONED).unwrap();
        }
    }
    remove_partial(folder.path(), ABANDONED).unwrap();
    assert_eq!(names(folder.path()), [others[0], young, others[1]], "somebody may be writing the young one");
    remove_partial(folder.path(), Duration::ZERO).unwrap();
    assert_eq!(names(folder.path()), others);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    #[test]
    fn links_stay_and_what_they_point_at_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("far")).unwrap();
        fs::write(at("far/target"), "old").unwrap();
        symlink("far/target", at("inner")).unwrap();
        symlink(at("inner"), at("outer")).unwrap();
        symlink("far/later", at("dangling")).unwrap();
        for (link, target) in [("outer", "far/target"), ("dangling", "far/later")] {
            write(&at(link), b"new").unwrap();
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
            assert_eq!(fs::read(at(target)).unwrap(), b"new");
        }
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        assert!(write(&at("a"), b"x").unwrap_err().to_string().contains("links"));
    }

    #[test]
    fn a_pipe_is_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || fs::read(path).unwrap())
        };
        write(&path, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn modes_are_those_of_the_file_or_of_any_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (new, usual) = (folder.path().join("new"), folder.path().join("usual"));
        write(&new, b"x").unwrap();
        fs::write(&usual, "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&new), mode(&usual));
        fs::set_permissions(&new, fs::Permissions::from_mode(0o640)).unwrap();
        write(&new, b"y").unwrap();
        assert_eq!(mode(&new), 0o640);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_that_has_no_name_is_written_through() {
    use std::os::fd::AsRawFd;
    let (mut reader, writer) = std::io::pipe().unwrap();
    for folder in ["/proc/self/fd", "/dev/fd"] {
        write(&Path::new(folder).join(writer.as_raw_fd().to_string()), b"through").unwrap();
        let mut bytes = [0; 7];
        std::io::Read::read_exact(&mut reader, &mut bytes).unwrap();
        assert_eq!(&bytes, b"through");
    }
}

/// What a shell does for `3> file`: the file is open already, and others may have written to it.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_open_already_is_written_through_and_not_replaced() {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{MetadataExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redirected");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"before ").unwrap();
    let name = Path::new("/dev/fd").join(file.as_raw_fd().to_string());
    symlink(&name, folder.path().join("link")).unwrap();
    write(&name, b"through ").unwrap();
    write(&folder.path().join("link"), b"a link").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"before through a link");
    assert_eq!(fs::metadata(&path).unwrap().ino(), file.metadata().unwrap().ino());
    assert_eq!(names(folder.path()), ["link", "redirected"]);
}

#[test]
fn a_name_may_be_as_long_as_the_system_lets_it() {
    let folder = tempfile::tempdir().unwrap();
    let name = "x".repeat(255);
    write(&folder.path().join(&name), b"one").unwrap();
    write(&folder.path().join(&name), b"two").unwrap();
    assert_eq!(names(folder.path()), [name]);
}

#[test]
fn a_folder_that_is_not_there_is_named_so() {
    let folder = tempfile::tempdir().unwrap();
    let failed = write(&folder.path().join("missing/result.json"), b"one").unwrap_err();
    assert_eq!(
        (failed.kind(), failed.to_string().as_str()),
        (ErrorKind::NotFound, "there is no such folder")
    );
}
