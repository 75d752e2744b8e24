"""The Node side: files that run in Node and inside Pyodide, and where to find them."""
