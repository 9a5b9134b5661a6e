"""Reference pages that are made from the code: the command line, the API and the manual page.

`commands` describes the command line, `pages` writes the site's pages of reference, and `man`
writes the manual page. mkdocs calls `hooks` while it builds the site.
"""
