//! Windows: what stands after OVER and after `WINDOW name AS`.

use super::Parser;
use crate::Result;
use crate::ast::{Frame, FrameBound, FrameUnit, WindowSpec};
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// `([PARTITION BY …] [ORDER BY …] [frame])`.
    pub(super) fn window_spec(&mut self) -> Result<WindowSpec> {
        self.expect(TokenKind::OpenParen, "`(`")?;
        let mut spec = WindowSpec { partition_by: Vec::new(), order_by: Vec::new(), frame: None };
        if self.eat_keywords(Keyword::Partition, Keyword::By) {
            spec.partition_by = self.expr_list()?;
        }
        if self.eat_keywords(Keyword::Order, Keyword::By) {
            spec.order_by = self.order_by_list()?;
        }
        let unit = match self.keyword() {
            Some(Keyword::Rows) => Some(FrameUnit::Rows),
            Some(Keyword::Range) => Some(FrameUnit::Range),
            None if self.at_groups() => Some(FrameUnit::Groups),
            _ => None,
        };
        if let Some(unit) = unit {
            self.advance();
            spec.frame = Some(self.frame(unit)?);
        }
        if self.kind() != TokenKind::CloseParen {
            return Err(self.unexpected("PARTITION BY, ORDER BY, ROWS, RANGE, GROUPS or `)`"));
        }
        self.advance();
        Ok(spec)
    }

    /// HogQL has no such word, so it is one only where nothing else can stand.
    fn at_groups(&self) -> bool {
        self.kind() == TokenKind::Name
            && self.slice(self.span()).eq_ignore_ascii_case("groups")
            && self.nth(1) != TokenKind::CloseParen
    }

    fn frame(&mut self, unit: FrameUnit) -> Result<Frame> {
        if !self.eat_keyword(Keyword::Between) {
            return Ok(Frame { unit, start: self.frame_bound()?, end: None });
        }
        let start = self.frame_bound()?;
        self.expect_keyword(Keyword::And, "AND and the end of the frame")?;
        Ok(Frame { unit, start, end: Some(self.frame_bound()?) })
    }

    fn frame_bound(&mut self) -> Result<FrameBound> {
        if self.eat_keywords(Keyword::Current, Keyword::Row) {
            return Ok(FrameBound::CurrentRow);
        }
        if self.eat_keywords(Keyword::Unbounded, Keyword::Preceding) {
            return Ok(FrameBound::UnboundedPreceding);
        }
        if self.eat_keywords(Keyword::Unbounded, Keyword::Following) {
            return Ok(FrameBound::UnboundedFollowing);
        }
        // Tighter than AND, which separates the bounds.
        let offset = Box::new(self.expr_at(super::expr::power::NOT)?);
        if self.eat_keyword(Keyword::Preceding) {
            return Ok(FrameBound::Preceding(offset));
        }
        if self.eat_keyword(Keyword::Following) {
            return Ok(FrameBound::Following(offset));
        }
        Err(self.unexpected("PRECEDING or FOLLOWING"))
    }
}
