module github.com/five-keys/autoscale

go 1.26
