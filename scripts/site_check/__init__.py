"""What checks the documentation: code blocks are run, pages are opened in a browser.

`blocks` finds the code in a page and `program` runs it; `html` reads built pages, `serving` serves
them and `browser` opens them.
"""
