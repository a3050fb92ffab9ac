package winograd

//go:generate go -C gen run . -pkg winograd -out ../winograd_amd64.s -stubs ../stubs_amd64.go
