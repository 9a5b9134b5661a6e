"""An evaluation as one HTML file to read on a screen or in print; needs the extra ``report``.

`gallery` keeps what is shown of the pictures as they are scored, `crops` chooses windows, `tables`
and `plot` bring the figures into shape, `page` puts all of it together by the templates `page.html`
and `page.css`.
"""

from derain.evaluate.report.gallery import Gallery
from derain.evaluate.report.page import check_report, to_html

__all__ = ["Gallery", "check_report", "to_html"]
