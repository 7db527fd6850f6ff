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
    /// A new line, if a comment is about to end this one.
    AfterComment,
    /// A comment on lines of its own, and whether an empty one follows.
    Leading(String, bool),
    /// A comment at the end of the line, whatever else is still to come on it.
    Trailing(String),
    Indent(Vec<Doc>),
    /// Indented as the line it begins on: what a bracket holds, wherever that opens.
    Hanging(Box<Doc>),
    /// On one line, or broken; with its size.
    Group(Vec<Doc>, Size),
}

pub(super) fn text(text: impl Into<String>) -> Doc {
    Doc::Text(text.into())
}

pub(super) fn group(docs: Vec<Doc>) -> Doc {
    let size = Size::of(&docs);
    Doc::Group(docs, size)
}

/// What may stand between a word and the comment after it.
fn rides(text: &str) -> bool {
    matches!(text, "," | ";")
}

/// What a document needs on one line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// `None` if it cannot be on one.
    width: Option<usize>,
    /// Whether it holds nothing but comments above it.
    is_empty: bool,
    /// Whether comments stand above it.
    has_leading: bool,
    /// Whether it ends in a comment that ends its line.
    has_trailing: bool,
}

impl Size {
    const EMPTY: Self =
        Self { width: Some(0), is_empty: true, has_leading: false, has_trailing: false };

    fn of(docs: &[Doc]) -> Self {
        docs.iter().fold(Self::EMPTY, |whole, doc| whole.and(doc))
    }

    /// This followed by one more.
    fn and(self, doc: &Doc) -> Self {
        let words = |width| Self { width, is_empty: false, ..Self::EMPTY };
        let next = match doc {
            Doc::Text(text) => Self {
                has_trailing: self.has_trailing && rides(text),
                ..words((!text.contains('\n')).then(|| text.chars().count()))
            },
            Doc::Line => words(Some(1)),
            Doc::SoftLine | Doc::AfterComment => words(Some(0)),
            Doc::Leading(..) => Self { has_leading: true, ..Self::EMPTY },
            Doc::Trailing(_) => Self { has_trailing: true, ..words(Some(0)) },
            Doc::Indent(docs) => Self::of(docs),
            Doc::Hanging(doc) => Self::EMPTY.and(doc),
            Doc::Group(_, size) => *size,
        };
        // A comment between words breaks the line.
        let stays = match doc {
            Doc::Text(text) => rides(text),
            _ => next.is_empty || matches!(doc, Doc::Trailing(_)),
        };
        let broken = (self.has_trailing && !stays) || (next.has_leading && !self.is_empty);
        let width = self.width.zip(next.width).map(|(a, b)| a + b);
        Self {
            width: width.filter(|_| !broken),
            is_empty: self.is_empty && next.is_empty,
            has_leading: self.has_leading || next.has_leading,
            has_trailing: next.has_trailing || (self.has_trailing && next.is_empty),
        }
    }
}

/// The text of a document, without spaces at the ends of lines.
pub(super) fn print(doc: &Doc) -> String {
    let mut printer =
        Printer { out: String::new(), column: 0, indent: 0, blank: true, comment: String::new() };
    printer.print(doc, 0, true, 0);
    printer.end_line();
    printer.out.truncate(printer.out.trim_end().len());
    printer.out
}

struct Printer {
    out: String,
    column: usize,
    /// How far the line is indented.
    indent: usize,
    /// Whether the line holds nothing but its indentation.
    blank: bool,
    /// What will end the line.
    comment: String,
}

impl Printer {
    /// `after` is the width of what must still fit behind it on the same line.
    fn print(&mut self, doc: &Doc, indent: usize, broken: bool, after: usize) {
        let broken = broken || !self.comment.is_empty();
        match doc {
            Doc::Text(text) => self.text(text, indent),
            Doc::Line if !broken => self.text(" ", indent),
            Doc::SoftLine if !broken => {}
            Doc::AfterComment if self.comment.is_empty() => {}
            Doc::Line | Doc::SoftLine | Doc::AfterComment => self.new_line(indent),
            Doc::Leading(comment, empty_line) => {
                self.new_line(indent);
                self.text(comment, indent);
                self.new_line(indent);
                if *empty_line {
                    self.trim();
                    self.out.push('\n');
                    self.begin_line(indent);
                }
            }
            Doc::Trailing(comment) => self.trailing(comment, indent),
            Doc::Hanging(doc) => self.print(doc, self.indent, broken, after),
            Doc::Indent(docs) => self.all(docs, indent + INDENT, broken, after),
            Doc::Group(docs, size) => {
                let fits = |width| self.column + width + after <= WIDTH;
                self.all(docs, indent, !size.width.is_some_and(fits), after);
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

    fn text(&mut self, text: &str, indent: usize) {
        if !self.comment.is_empty() && !rides(text) {
            self.new_line(indent);
        }
        if text == " " && self.blank {
            return;
        }
        self.out.push_str(text);
        self.blank = false;
        self.column = match text.rfind('\n') {
            Some(at) => text[at + 1..].chars().count(),
            None => self.column + text.chars().count(),
        };
    }

    fn trailing(&mut self, comment: &str, indent: usize) {
        // Nothing can follow a comment that the line ends, not even a comment.
        if !self.comment.is_empty() && !self.comment.ends_with("*/") {
            self.new_line(indent);
        }
        self.comment.push_str(match self.comment.is_empty() {
            true if self.blank => "",
            true => "  ",
            false => " ",
        });
        self.comment.push_str(comment);
    }

    /// A new line, unless this one holds nothing yet.
    fn new_line(&mut self, indent: usize) {
        if self.blank && self.comment.is_empty() {
            self.trim();
        } else {
            self.end_line();
            self.out.push('\n');
        }
        self.begin_line(indent);
    }

    fn end_line(&mut self) {
        if !self.blank {
            self.trim();
        }
        self.out.push_str(&self.comment);
        self.comment.clear();
    }

    fn trim(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
    }

    fn begin_line(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
        (self.column, self.indent) = (indent, indent);
        self.blank = true;
    }
}
