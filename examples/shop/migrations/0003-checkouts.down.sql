delete from products where id = 4;
drop table checkouts;
