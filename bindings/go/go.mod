module libudi/udi

go 1.19
