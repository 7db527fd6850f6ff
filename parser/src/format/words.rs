//! Tokens to words: what the layout moves about as a whole, with the comments around it.

use crate::grammar::Pieces;
use crate::span::Span;
use crate::token::{Keyword, Token, TokenKind};

/// A token, or a run of tokens that is copied as it is: a template string, a tag, strings that are one.
pub(super) struct Word {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
    /// Whether it was read as a name, and keeps its letter case.
    pub(super) is_name: bool,
    /// Whether it is a word of the grammar that is a name elsewhere.
    pub(super) is_word: bool,
    /// Whether it is a `:` that ends the middle of `c ? x : y`.
    pub(super) is_ternary: bool,
    /// Index of the word that closes what this one opens: a bracket, or END for CASE.
    pub(super) close: usize,
    /// The kind of the bracket that directly holds it; `End` outside of all.
    pub(super) holder: TokenKind,
    /// Comments before it.
    pub(super) leading: Vec<Comment>,
    /// Comments after it on the same line, which end that line.
    pub(super) trailing: Vec<Span>,
}

pub(super) struct Comment {
    pub(super) span: Span,
    /// How many lines further the next comment or word is: at most 2.
    pub(super) lines: usize,
}

/// The words of a statement; the last one is the end of the text.
pub(super) fn words(source: &str, pieces: &Pieces) -> Vec<Word> {
    let mut names = pieces.names.clone();
    names.sort_unstable();
    let mut soft_words = pieces.words.clone();
    soft_words.sort_unstable();
    let mut ternary: Vec<u32> = Vec::new();
    let mut words = Vec::new();
    let mut at = 0;
    while at < pieces.tokens.len() {
        let token = pieces.tokens[at];
        if token.kind == TokenKind::Question && token.link > 0 {
            ternary.push(token.link);
        }
        let last = verbatim_end(&pieces.tokens, at);
        words.push(Word {
            kind: token.kind,
            span: token.span.to(pieces.tokens[last].span),
            is_name: names.binary_search(&token.span.start).is_ok(),
            is_word: token.kind == TokenKind::Name
                && soft_words.binary_search(&token.span.start).is_ok(),
            is_ternary: ternary.pop_if(|colon| *colon as usize == at).is_some(),
            close: 0,
            holder: TokenKind::End,
            leading: Vec::new(),
            trailing: Vec::new(),
        });
        at = last + 1;
    }
    pair(&mut words);
    attach(source, &pieces.comments, &mut words);
    words
}

/// Index of the last token of the template or tag that begins here, or of the strings that the
/// line breaks between them join, or of this one.
fn verbatim_end(tokens: &[Token], start: usize) -> usize {
    use TokenKind::{TagClose, TagEnd, TagOpen, TagSelfClose, TemplateEnd, TemplateStart};
    let strings =
        tokens[start..].iter().take_while(|token| token.kind == TokenKind::String).count();
    if strings > 1 {
        return start + strings - 1;
    }
    if !matches!(tokens[start].kind, TemplateStart | TagOpen) {
        return start;
    }
    let mut open = 0_usize;
    let mut closing = false;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.kind {
            TemplateStart | TagOpen => open += 1,
            TemplateEnd | TagSelfClose => open -= 1,
            // `</A>` ends what `<A>` opened.
            TagClose => closing = true,
            TagEnd if closing => {
                closing = false;
                open -= 1;
            }
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    start
}

/// Finds what closes each bracket and each CASE.
fn pair(words: &mut [Word]) {
    use TokenKind as T;
    let mut open: Vec<usize> = Vec::new();
    for at in 0..words.len() {
        words[at].holder = open.last().map_or(T::End, |opener| words[*opener].kind);
        match words[at].kind {
            T::OpenParen | T::OpenBracket | T::OpenBrace => open.push(at),
            T::Keyword(Keyword::Case) if !words[at].is_name => open.push(at),
            T::CloseParen | T::CloseBracket | T::CloseBrace => close(words, open.pop(), at),
            T::Keyword(Keyword::End) if !words[at].is_name => close(words, open.pop(), at),
            _ => {}
        }
    }
}

fn close(words: &mut [Word], opener: Option<usize>, at: usize) {
    if let Some(opener) = opener {
        words[opener].close = at;
    }
}

/// Gives the comments that end a line to the word before them on it, all others to the word after.
fn attach(source: &str, comments: &[Span], words: &mut [Word]) {
    let breaks = |from: u32, to: u32| source[from as usize..to as usize].matches('\n').count();
    let mut rest = comments;
    for next in 0..words.len() {
        let from = next.checked_sub(1).map_or(0, |previous| words[previous].span.end);
        let to = words[next].span.start;
        // Those inside a template or a tag are copied with it.
        rest = &rest[rest.partition_point(|comment| comment.start < from)..];
        let (gap, others) = rest.split_at(rest.partition_point(|comment| comment.start < to));
        rest = others;
        let mut lines: Vec<usize> = gap
            .iter()
            .enumerate()
            .map(|(at, comment)| match gap.get(at + 1) {
                Some(following) => breaks(comment.end, following.start).min(2),
                // The end of the text ends its line too.
                None if words[next].kind == TokenKind::End => 1,
                None => breaks(comment.end, to).min(2),
            })
            .collect();
        let on_line = match gap.first() {
            Some(first) if next > 0 && breaks(from, first.start) == 0 => {
                lines.iter().position(|lines| *lines > 0).map_or(0, |last| last + 1)
            }
            _ => 0,
        };
        // Above a comment with lines of its own, every comment has them.
        if let Some(last) = lines.iter().rposition(|lines| *lines > 0) {
            lines.iter_mut().take(last).skip(on_line).for_each(|lines| *lines = (*lines).max(1));
        }
        for (at, (span, lines)) in gap.iter().zip(lines).enumerate() {
            if at < on_line {
                words[next - 1].trailing.push(*span);
            } else {
                words[next].leading.push(Comment { span: *span, lines });
            }
        }
    }
}
