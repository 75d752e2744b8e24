"""Python has no module of this name since 3.13; ppci 0.5.8 imports it for reports in HTML, which are not made here."""
