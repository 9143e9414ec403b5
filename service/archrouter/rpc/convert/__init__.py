"""Between the wire's messages and the domain's values: nothing else maps one to the other."""
