//! Documents: text with places where a line may break, laid out so that each group is on one line
//! if it fits (Wadler, "A prettier printer").

/// Longest line that is not broken, in characters.
const WIDTH: usize = 100;
const INDENT: usize = 4;

/// A piece of a layout.
#[derive(Debug)]
pub(super) enum Doc {
    Text(String),
    /// A space, or a new line where the group around it is broken.
    Line,
    /// Nothing, or a new line.
    SoftLine,
    /// A new line.
    HardLine,
    Indent(Vec<Doc>),
    Group(Vec<Doc>),
}

pub(super) fn text(text: impl Into<String>) -> Doc {
    Doc::Text(text.into())
}

impl Doc {
    /// Its width on one line; `None` if it cannot be on one.
    fn width(&self) -> Option<usize> {
        match self {
            Self::Text(text) if text.contains('\n') => None,
            Self::Text(text) => Some(text.chars().count()),
            Self::Line => Some(1),
            Self::SoftLine => Some(0),
            Self::HardLine => None,
            Self::Indent(docs) | Self::Group(docs) => docs.iter().map(Self::width).sum(),
        }
    }
}

/// The text of a document, without spaces at the ends of lines.
pub(super) fn print(doc: &Doc) -> String {
    let mut printer = Printer { out: String::new(), column: 0 };
    printer.print(doc, 0, true, 0);
    printer.out.truncate(printer.out.trim_end().len());
    printer.out
}

struct Printer {
    out: String,
    column: usize,
}

impl Printer {
    /// `after` is the width of what must still fit behind it on the same line.
    fn print(&mut self, doc: &Doc, indent: usize, broken: bool, after: usize) {
        match doc {
            Doc::Text(text) => {
                self.out.push_str(text);
                self.column = match text.rfind('\n') {
                    Some(at) => text[at + 1..].chars().count(),
                    None => self.column + text.chars().count(),
                };
            }
            Doc::Line if !broken => {
                self.out.push(' ');
                self.column += 1;
            }
            Doc::SoftLine if !broken => {}
            Doc::Line | Doc::SoftLine | Doc::HardLine => self.new_line(indent),
            Doc::Indent(docs) => self.all(docs, indent + INDENT, broken, after),
            Doc::Group(docs) => {
                let fits = |width| self.column + width + after <= WIDTH;
                let broken = !doc.width().is_some_and(fits);
                self.all(docs, indent, broken, after);
            }
        }
    }

    fn all(&mut self, docs: &[Doc], indent: usize, broken: bool, after: usize) {
        for (at, doc) in docs.iter().enumerate() {
            // A comma or bracket that follows stays on the line.
            let behind = match docs.get(at + 1) {
                None => after,
                Some(Doc::Text(text)) => text.chars().count(),
                Some(_) => 0,
            };
            self.print(doc, indent, broken, behind);
        }
    }

    /// A new line, unless this one holds nothing yet.
    fn new_line(&mut self, indent: usize) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }
}
