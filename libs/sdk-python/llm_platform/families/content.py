"""What is written about posts and their sections (document B)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, operation
from llm_platform.core.effects import Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/llm"


class Content(Family[R]):
    """`client.content`"""

    @operation
    def generate_idea(self, **fields: Unpack[requests.GenerateIdea]) -> Steps[answers.Idea]:
        """An idea for a post about a topic."""
        return self._post(_BASE + "/generate-idea", answers.Idea, fields, once=True)

    @operation
    def expand_section(self, section_id: int, **fields: Unpack[requests.ExpandSection]) -> Steps[answers.Expansion]:
        """A section, written out."""
        return self._post(at(_BASE, "expand-section", section_id), answers.Expansion, fields, once=True)

    @operation
    def optimize_seo(self, post_id: int, **fields: Unpack[requests.OptimizeSeo]) -> Steps[answers.SeoSuggestions]:
        """How search engines might find a post."""
        path = at(_BASE, "optimize-seo", post_id)
        return (yield from self._post(path, answers.SeoAnswer, fields, once=True)).suggestions

    @operation
    def generate_social(self, section_id: int, **fields: Unpack[requests.GenerateSocial]) -> Steps[dict[str, str]]:
        """A post of a section for each platform, by its name."""
        return self._post(at(_BASE, "generate-social", section_id), dict[str, str], fields, once=True)
