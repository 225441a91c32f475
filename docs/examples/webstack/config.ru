# A Rack application: says which process answers.
run ->(env) { [200, { "Content-Type" => "text/plain" }, ["puma from #{Process.pid}\n"]] }
