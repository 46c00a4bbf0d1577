//! What the output knows of a screen whose rounds replace each other.

/// The messages of a round that are kept; more are counted.
const MAX_NOTES: usize = 20;

/// What the output knows of a screen.
#[derive(Default)]
pub(super) struct ScreenState {
    /// Whether rounds are redrawn.
    on: bool,
    /// Whether a round is being drawn: what is written to stderr belongs to it.
    drawing: bool,
    notes: Vec<String>,
    omitted: usize,
}

impl ScreenState {
    pub(super) fn new(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// Begins to draw a round.
    pub(super) fn begin_round(&mut self) {
        self.drawing = true;
    }

    /// Keeps a message for the round being drawn, or for the next one; returns whether it is still to be written now.
    pub(super) fn keep(&mut self, message: &str) -> bool {
        if !self.on {
            return true;
        }
        if self.notes.len() < MAX_NOTES {
            self.notes.push(message.trim_end_matches('\n').to_owned());
        } else {
            self.omitted += 1;
        }
        !self.drawing
    }

    /// Ends the round that is being drawn, and returns its messages.
    pub(super) fn end_round(&mut self) -> Vec<String> {
        self.drawing = false;
        let mut notes = std::mem::take(&mut self.notes);
        let omitted = std::mem::take(&mut self.omitted);
        if omitted > 0 {
            notes.push(format!("… {omitted} more"));
        }
        notes
    }
}
