"""An evaluation as one HTML file to read on a screen or in print; needs the extra ``report``.

`gallery` keeps windows of pictures as they are scored, `crops` chooses the windows, `tables` and
`plot` arrange the figures, `page` fills the templates `page.html` and `page.css`.
"""

from derain.evaluate.report.gallery import Gallery
from derain.evaluate.report.page import check_report, to_html

__all__ = ["Gallery", "check_report", "to_html"]
