//! One JPEG image to pixels.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::SIDE;
use crate::error::FileProblem;

/// Start of an image, of the data of a scan, end of an image: the second bytes of these markers.
const START: u8 = 0xd8;
const SCAN: u8 = 0xda;
const END: u8 = 0xd9;

/// Decodes a JPEG image of 64x64 pixels, grey or in colour, to RGB `[64, 64, 3]`. A failure says at which byte.
pub(super) fn decode(bytes: &[u8], pixels: &mut [u8]) -> Result<(), (u64, FileProblem)> {
    let scan = find_scan(bytes)?;
    let image = |error| (scan, FileProblem::Image { detail: format!("{error:?}") });
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(image)?;
    let (width, height) = decoder.info().map_or((0, 0), |info| (info.width, info.height));
    if (usize::from(width), usize::from(height)) != (SIDE, SIDE) {
        let expected = format!("an image of {SIDE} x {SIDE} pixels");
        return Err((0, FileProblem::Format { expected, found: format!("{width} x {height}") }));
    }
    decoder.decode_into(pixels).map_err(image)
}

/// Where the first scan begins; the segments before it must be whole, and the end must be marked.
fn find_scan(bytes: &[u8]) -> Result<u64, (u64, FileProblem)> {
    let wrong = |at: usize, expected: &str| {
        let found = match bytes.get(at) {
            Some(byte) => format!("0x{byte:02x}"),
            None => "the end of the file".to_owned(),
        };
        Err((at.min(bytes.len()) as u64, FileProblem::Format { expected: expected.to_owned(), found }))
    };
    if bytes.is_empty() {
        return Err((0, FileProblem::Empty));
    }
    if !bytes.starts_with(&[0xff, START]) {
        return wrong(0, "a JPEG image");
    }
    let mut at = 2;
    loop {
        let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) else {
            return wrong(at, "a marker of a JPEG image");
        };
        match marker {
            // Any number of these bytes may stand before a marker.
            0xff => at += 1,
            SCAN => break,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    if bytes[at..].windows(2).rev().all(|pair| pair != [0xff, END]) {
        return wrong(bytes.len(), "the marker that ends a JPEG image");
    }
    Ok(at as u64)
}
