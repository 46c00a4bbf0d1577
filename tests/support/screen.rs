//! What a terminal shows after the bytes that a program wrote to it: as much of a terminal as kvadm uses.

/// The lines of a terminal of this size, without the blanks at their ends; the empty ones at the end are left out.
///
/// # Panics
/// At an escape sequence that kvadm does not write.
pub fn shown(bytes: &[u8], lines: usize, columns: usize) -> Vec<String> {
    let mut screen = Screen { cells: vec![vec![' '; columns]; lines], line: 0, column: 0, columns };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                assert_eq!(rest.next(), Some('['), "an escape sequence that is no CSI: {text:?}");
                let mut sequence = String::new();
                let end = loop {
                    match rest.next() {
                        Some(c) if c.is_ascii_alphabetic() => break c,
                        Some(c) => sequence.push(c),
                        None => return screen.lines(),
                    }
                };
                screen.escape(&sequence, end);
            }
            '\r' => screen.column = 0,
            '\n' => screen.feed(),
            c => screen.put(c),
        }
    }
    screen.lines()
}

struct Screen {
    cells: Vec<Vec<char>>,
    line: usize,
    column: usize,
    columns: usize,
}

impl Screen {
    fn escape(&mut self, sequence: &str, end: char) {
        match (sequence, end) {
            (_, 'm') => {}
            ("", 'H') => (self.line, self.column) = (0, 0),
            ("", 'K') => self.clear_line(),
            ("", 'J') => {
                self.clear_line();
                let columns = self.columns;
                self.cells.iter_mut().skip(self.line + 1).for_each(|line| *line = vec![' '; columns]);
            }
            other => panic!("an escape sequence that kvadm does not write: {other:?}"),
        }
    }

    fn clear_line(&mut self) {
        self.cells[self.line].iter_mut().skip(self.column).for_each(|cell| *cell = ' ');
    }

    fn feed(&mut self) {
        self.line += 1;
        if self.line == self.cells.len() {
            self.line -= 1;
            self.cells.remove(0);
            self.cells.push(vec![' '; self.columns]);
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.columns {
            self.column = 0;
            self.feed();
        }
        self.cells[self.line][self.column] = c;
        self.column += 1;
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.cells.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}
