//! Here-documents in `RUN`, `COPY` and `ADD` (Dockerfile reference, "Here-Documents"): their lines are no
//! instructions.

/// The text with the here-documents' own lines blank, and the lines on which they begin.
pub(crate) fn blanked(lines: &[&str]) -> (String, Vec<usize>) {
    let (mut kept, mut begins) = (String::new(), Vec::new());
    let mut ends: Vec<(String, bool)> = Vec::new();
    let (mut keyword, mut open) = (String::new(), false);
    // The lines of its documents follow after the end of the instruction.
    for (index, line) in lines.iter().enumerate() {
        if !open && let Some((end, tabs)) = ends.first() {
            let found = if *tabs { line.trim_start_matches('\t') } else { line };
            if found == end {
                ends.remove(0);
            }
            kept.push('\n');
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
        let trimmed = line.trim();
        if trimmed.starts_with('#') || trimmed.is_empty() && open {
            continue;
        }
        if !open {
            keyword = trimmed.split_whitespace().next().unwrap_or_default().to_uppercase();
        }
        open = trimmed.ends_with('\\');
        if matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
            let found = here_documents(trimmed);
            if !found.is_empty() {
                begins.push(index + 1);
            }
            ends.extend(found);
        }
    }
    (kept, begins)
}

/// The ends that a line's here-documents have, and whether tabs before them are cut off (`<<-`).
fn here_documents(line: &str) -> Vec<(String, bool)> {
    let mut quote = None;
    let mut outside = String::new();
    let mut before = ' ';
    for c in line.chars() {
        match quote {
            // The quotes around an end belong to it; any other text in quotes is no here-document.
            None if matches!(c, '"' | '\'') && !matches!(before, '<' | '-') => quote = Some(c),
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None => outside.push(c),
        }
        before = c;
    }
    let words = outside.split_whitespace();
    words
        .filter_map(|word| {
            let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
            let (tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
            let end = rest.trim_matches(['"', '\'']);
            let name = !end.is_empty() && end.chars().all(|c| c.is_alphanumeric() || c == '_');
            name.then(|| (end.to_owned(), tabs))
        })
        .collect()
}
