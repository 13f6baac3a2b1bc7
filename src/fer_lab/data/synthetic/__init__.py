"""Procedurally drawn faces with exact ground truth: drawings to test methods with.

``population`` says who is drawn and with which bias, ``anatomy`` turns expression and
demographics into action units and traits, ``render`` draws image, region mask and landmarks,
``reader`` does all of it for one row of a manifest.
"""

from __future__ import annotations

from fer_lab.data.synthetic.anatomy import Face
from fer_lab.data.synthetic.appearance import Appearance
from fer_lab.data.synthetic.population import Planted, Population
from fer_lab.data.synthetic.reader import SyntheticReader
from fer_lab.data.synthetic.render import render

__all__ = ["Appearance", "Face", "Planted", "Population", "SyntheticReader", "render"]
