"""The ids of all rule nodes, without a host: of those made of a rule, and of those written out."""

import re

from guidance_geometry.guidance.registry import every_rule
from guidance_geometry.tests.project import ROOT

WRITTEN = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "nodes" / "rules").glob("*.py")))
RULE_IDS = {rule.node_id for rule in every_rule().values() if rule.node_id}
RULE_IDS |= set(re.findall(r"^class (GG\w+)\(", WRITTEN, re.MULTILINE))
