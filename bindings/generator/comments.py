"""The comments of udi.h and what each belongs to. clang itself attaches documentation comments only."""
import re

from clang.cindex import TokenKind


def plain(comment):
    """Its text without stars, the lines of a paragraph joined."""
    lines = comment[2:-2].strip().split("\n")
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in lines]
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


class Comments:
    """leading: by the line that follows one; trailing: by the line it begins on, after code."""

    def __init__(self, unit):
        self.leading, self.trailing, self.sections, self.first = {}, {}, [], None
        code_until = 0  # the line that the last token of code ends on
        for token in unit.get_tokens(extent=unit.cursor.extent):
            if token.kind != TokenKind.COMMENT:
                code_until = token.extent.end.line
                continue
            line, text = token.extent.start.line, token.spelling
            title = re.match(r"/\* ---- (.*?)(?::.*)? -*\s*\*/", text)
            if self.first is None:
                self.first = text
            elif title:
                self.sections.append((line, title[1]))
            elif line == code_until:
                self.trailing[line] = plain(text)
            else:
                self.leading[token.extent.end.line + 1] = plain(text)

    def of(self, cursor):
        first, last = cursor.extent.start.line, cursor.extent.end.line
        return self.trailing.get(last) or self.leading.get(first, "")

    def section(self, cursor):
        return [title for line, title in self.sections if line < cursor.extent.start.line][-1]

    def overview(self):
        """The comment at the top, lines and columns kept."""
        return "\n".join(re.sub(r"^ ?\*? ?", "", line).rstrip() for line in self.first[2:-2].strip().split("\n")).strip()
