//! What people give where a safetensors file is expected, by its first bytes, and what to do about it.

/// How a file of PyTorch becomes a safetensors file.
const CONVERT: &str = "convert it in Python with safetensors.torch.save_file(torch.load(OLD, weights_only=True), NEW), \
                       where OLD holds a dictionary of tensors";

/// What to do with a file of any other program.
const CONVERT_OTHER: &str = "and no safetensors file; read it in Python and write its tensors with \
                             safetensors.torch.save_file(TENSORS, NEW)";

/// Names the format of a file that is no safetensors file, and the way out; `None` where its first bytes tell nothing.
pub(super) fn describe(bytes: &[u8]) -> Option<String> {
    let start = bytes.trim_ascii_start();
    let start = start[..start.len().min(16)].to_ascii_lowercase();
    let page = [&b"<!doctype html"[..], b"<html", b"<?xml"].iter().any(|tag| start.starts_with(tag));
    let text = match bytes {
        [] => "it is empty, not a whole safetensors file".into(),
        [b'P', b'K', 3, 4, ..] => {
            format!("it is a zip archive, as torch.save writes, and no safetensors file; {CONVERT}")
        }
        [0x80, 2..=5, ..] => format!("it is a pickle and no safetensors file; {CONVERT}"),
        [0x1f, 0x8b, ..] => "it is compressed with gzip; unpack it first".into(),
        _ if page => "it is a web page and no safetensors file; download it again".into(),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            "it is a pointer of Git LFS and not the file itself; `git lfs pull` fetches that".into()
        }
        _ if bytes.starts_with(b"\x89HDF\r\n\x1a\n") => format!("it is an HDF5 file, {CONVERT_OTHER}"),
        _ if bytes.starts_with(b"\x93NUMPY") => format!("it is a NumPy array, {CONVERT_OTHER}"),
        _ if bytes.starts_with(b"GGUF") => format!("it is a GGUF file, {CONVERT_OTHER}"),
        _ if start.starts_with(b"{") || start.starts_with(b"[") => {
            format!("it is JSON text, {CONVERT_OTHER}")
        }
        _ => return None,
    };
    Some(text)
}
