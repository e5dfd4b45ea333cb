//! Looks for several texts in a stream of bytes, even if one lies across the border of two pieces.

use memchr::memmem::Finder;
use std::io::Read;

/// Bytes that are searched at once.
const PIECE: usize = 256 << 10;

/// Texts that must not be anywhere, by a name that may be shown.
pub struct Texts<'t> {
    finders: Vec<(&'t str, Finder<'t>)>,
    longest: usize,
    piece: usize,
}

impl<'t> Texts<'t> {
    /// The texts `absent`, with their names.
    ///
    /// # Errors
    /// When one is empty: it would be everywhere.
    pub fn new(absent: &'t [(String, Vec<u8>)]) -> anyhow::Result<Texts<'t>> {
        if let Some((name, _)) = absent.iter().find(|(_, text)| text.is_empty()) {
            anyhow::bail!("searching the image for {name}: it is empty");
        }
        let finders = absent.iter().map(|(name, text)| (name.as_str(), Finder::new(text)));
        let longest = absent.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
        Ok(Texts { finders: finders.collect(), longest, piece: PIECE })
    }

    /// The names of the texts that are in `bytes`.
    pub fn in_bytes(&self, bytes: &[u8]) -> Vec<&'t str> {
        let found = self.finders.iter().filter(|(_, finder)| finder.find(bytes).is_some());
        found.map(|(name, _)| *name).collect()
    }

    /// The names of the texts that are in `stream`, which is read to its end; its first `keep`
    /// bytes are stored in `start`. `buffer` is only for reuse.
    pub fn in_stream(
        &self,
        stream: &mut dyn Read,
        keep: u64,
        start: &mut Vec<u8>,
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<Vec<&'t str>> {
        start.clear();
        let mut found = Vec::new();
        // What the last piece ended with: a text may have begun there.
        let overlap = self.longest.saturating_sub(1);
        buffer.resize(overlap + self.piece, 0);
        let mut kept = 0;
        loop {
            let (end, last) = fill(stream, buffer, kept)?;
            let wanted = usize::try_from(keep).unwrap_or(usize::MAX).saturating_sub(start.len());
            start.extend_from_slice(&buffer[kept..end][..wanted.min(end - kept)]);
            for name in self.in_bytes(&buffer[..end]) {
                if !found.contains(&name) {
                    found.push(name);
                }
            }
            if last {
                return Ok(found);
            }
            kept = overlap.min(end);
            buffer.copy_within(end - kept..end, 0);
        }
    }
}

/// Reads into `buffer` from index `at` on until it is full or the stream ends; the index behind
/// what was read, and whether the stream ended.
fn fill(stream: &mut dyn Read, buffer: &mut [u8], at: usize) -> std::io::Result<(usize, bool)> {
    let mut end = at;
    while end < buffer.len() {
        match stream.read(&mut buffer[end..]) {
            Ok(0) => return Ok((end, true)),
            Ok(count) => end += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((end, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte, then two, three, …: as a pipe does.
    struct Pieces<'b>(&'b [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 += 1;
            let count = self.1.min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_lies() {
        let absent = [("a".to_owned(), b"needle".to_vec()), ("b".to_owned(), b"hay".to_vec())];
        let texts = Texts { piece: 16, ..Texts::new(&absent).unwrap() };
        let (mut start, mut buffer) = (Vec::new(), Vec::new());
        for before in 0..70 {
            for after in [0, 1, 40] {
                let text = format!("{}needle{}", "-".repeat(before), "-".repeat(after));
                let mut stream = Pieces(text.as_bytes(), 0);
                let found = texts.in_stream(&mut stream, 20, &mut start, &mut buffer).unwrap();
                assert_eq!(found, ["a"], "{before} {after}");
                assert_eq!(start, text.as_bytes()[..text.len().min(20)]);
                // One byte of it wrong, and it isn't there.
                let text = text.replace("needle", "neeple");
                let mut stream = Pieces(text.as_bytes(), 0);
                let found = texts.in_stream(&mut stream, 0, &mut start, &mut buffer).unwrap();
                assert!(found.is_empty() && start.is_empty(), "{before} {after}");
            }
        }
        let mut stream = Pieces(b"hay and hay, needle", 0);
        let found = texts.in_stream(&mut stream, 0, &mut start, &mut buffer).unwrap();
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn an_empty_text_is_refused_and_no_text_finds_nothing() {
        assert!(Texts::new(&[("a".to_owned(), Vec::new())]).is_err());
        let texts = Texts::new(&[]).unwrap();
        let (mut start, mut buffer) = (Vec::new(), Vec::new());
        let found = texts.in_stream(&mut &b"abc"[..], 2, &mut start, &mut buffer).unwrap();
        assert!(found.is_empty());
        assert_eq!(start, b"ab");
    }
}
