"""Turn an XML document into JSON without losing its order, attributes or mixed content."""

from lxml import etree

XML = "{http://www.w3.org/XML/1998/namespace}"


def main(data, whitespace=False):
    """Convert each element to {"name", "attributes", "children"}; a child is an element or a piece of text.

    data: an XML document without a document type declaration (DTD); entities of its own are refused with it.
    whitespace: keep text that is only white space, which mostly indents.

    Returns the root element. Names in a namespace read "{namespace}name" and those of XML itself "xml:name"; comments
    and processing instructions are left out.
    Raises ValueError when the input is not well-formed or has a DTD.
    """
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        document = etree.fromstring(data.read(), parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"the input is not well-formed XML: {error}") from None
    if document.getroottree().docinfo.internalDTD is not None:
        raise ValueError("the input has a document type declaration; remove it, with the entities that it defines")
    return convert(document, bool(whitespace))


def convert(element, whitespace):
    """Convert an element and all it contains."""
    children = [element.text]
    for child in element:
        children += [convert(child, whitespace), child.tail]
    return {
        "name": short(element.tag),
        "attributes": {short(name): value for name, value in element.attrib.items()},
        "children": [child for child in children if is_content(child, whitespace)],
    }


def is_content(child, whitespace):
    """Tell whether a child stays: an element, or text that is not empty (nor blank, unless that is wanted)."""
    return isinstance(child, dict) or bool(child and (whitespace or child.strip()))


def short(name):
    """Write names of XML's own namespace with their fixed prefix."""
    return name.replace(XML, "xml:")
