"""Reading run folders: tables, figures and pages made from the facts that a run left behind."""

from __future__ import annotations
